pgstrata_unit_test(command
  SOURCES error_names_test.cpp info_json_test.cpp info_report_test.cpp info_text_test.cpp listing_test.cpp
          object_kind_test.cpp repositories_test.cpp repository_path_test.cpp
  USES command)
