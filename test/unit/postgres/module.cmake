set(postgres_tests
  control_file_test.cpp crc32c_test.cpp data_directory_test.cpp data_directory_scan_test.cpp lsn_test.cpp page_test.cpp
  timeline_history_test.cpp version_test.cpp wal_record_content_test.cpp wal_record_test.cpp wal_segment_test.cpp
  wal_summary_test.cpp wal_summary_choice_test.cpp wal_times_test.cpp)
foreach(source session_test.cpp libpq_test.cpp query_test.cpp)
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/${source}")
    list(APPEND postgres_tests ${source})
  endif()
endforeach()
pgstrata_unit_test(postgres
  SOURCES ${postgres_tests}
  USES postgres)
target_include_directories(unit-postgres SYSTEM PRIVATE "${LIBPQ_INCLUDE}")
