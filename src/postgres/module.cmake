# session.cpp and libpq.cpp load libpq at run time; everything else needs no server.
set(postgres_sources
  control_file.cpp crc32c.cpp data_directory.cpp data_directory_scan.cpp lsn.cpp page.cpp timeline_history.cpp version.cpp
  wal_record.cpp wal_segment.cpp wal_summary.cpp wal_times.cpp)
foreach(source session.cpp libpq.cpp query.cpp)
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/${source}")
    list(APPEND postgres_sources ${source})
  endif()
endforeach()
pgstrata_module(postgres
  SOURCES ${postgres_sources}
  USES util log)
target_include_directories(pgstrata_postgres SYSTEM PRIVATE "${LIBPQ_INCLUDE}")
