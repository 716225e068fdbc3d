pgstrata_unit_test(command
  SOURCES error_names_test.cpp info_health_test.cpp info_json_test.cpp info_report_test.cpp info_text_test.cpp listing_test.cpp
          manual_test.cpp object_kind_test.cpp repositories_test.cpp repository_path_test.cpp retention_policy_test.cpp
          s3_repository_test.cpp server_test.cpp verify_report_test.cpp wal_drop_test.cpp
  USES command)
# The manual page, and what its table of exit statuses is held against.
target_compile_definitions(unit-command PRIVATE
  PGSTRATA_MANUAL="${PROJECT_SOURCE_DIR}/man/pgstrata.1"
  PGSTRATA_ERROR_HEADER="${PROJECT_SOURCE_DIR}/include/pgstrata/util/error.hpp")
