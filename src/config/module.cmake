pgstrata_module(config
  SOURCES command_line.cpp command_table.cpp config.cpp config_builder.cpp config_files.cpp cross_checks.cpp
          environment.cpp help.cpp ini_file.cpp manual.cpp option_checks.cpp option_defaults.cpp option_name.cpp option_table.cpp
          option_text.cpp value.cpp
  USES util log)
