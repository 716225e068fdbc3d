pgstrata_unit_test(config
  SOURCES command_line_test.cpp config_files_test.cpp config_test.cpp cross_checks_test.cpp environment_test.cpp
          help_test.cpp ini_file_test.cpp option_name_test.cpp option_table_test.cpp robustness_test.cpp
          secrets_test.cpp support_test.cpp value_test.cpp
  USES config)
# The manual page that the option table is held against.
target_compile_definitions(unit-config PRIVATE PGSTRATA_MANUAL="${PROJECT_SOURCE_DIR}/man/pgstrata.conf.5"
                                               PGSTRATA_SAMPLE="${PROJECT_SOURCE_DIR}/conf/pgstrata.conf.example")
