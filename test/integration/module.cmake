# Black-box tests of the program against real servers. They need the program only when they run, so they can
# hold any build of it: PGSTRATA_BINARY=build/test/pgstrata-sanitized build/test/test/integration. With the libraries they
# see and damage what is in a bucket.
if(PGSTRATA_SANITIZE)
  return()
endif()

# Its listener wants more of Catch2's header than tests do.
set_source_files_properties(support/tester.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

add_executable(integration
  integration/archive_test.cpp
  integration/async_get_test.cpp
  integration/async_test.cpp
  integration/backup_test.cpp
  integration/change_tracking_test.cpp
  integration/check_test.cpp
  integration/command_test.cpp
  integration/copies_test.cpp
  integration/damage_test.cpp
  integration/expire_test.cpp
  integration/full_disk_test.cpp
  integration/harness_test.cpp
  integration/incremental_scenarios_test.cpp
  integration/incremental_test.cpp
  integration/info_test.cpp
  integration/lifecycle_test.cpp
  integration/main_path_test.cpp
  integration/offline_backup_test.cpp
  integration/random_chain_test.cpp
  integration/repository_files_test.cpp
  integration/restore_delta_test.cpp
  integration/restore_plan_test.cpp
  integration/restore_test.cpp
  integration/restore_selection_test.cpp
  integration/resume_test.cpp
  integration/s3_commands_test.cpp
  integration/s3_test.cpp
  integration/secrets_test.cpp
  integration/soak_test.cpp
  integration/standby_test.cpp
  integration/stanza_test.cpp
  integration/two_hosts_test.cpp
  integration/two_repositories_test.cpp
  integration/verify_test.cpp
  integration/wal_drop_test.cpp
  integration/window_test.cpp
  support/ceph.cpp
  support/chain.cpp
  support/cluster.cpp
  support/data_directory_comparison.cpp
  support/process.cpp
  support/site.cpp
  support/s3_server.cpp
  support/swift.cpp
  support/tester.cpp)
target_include_directories(integration PRIVATE "${PROJECT_SOURCE_DIR}/test" "${XXHASH_INCLUDE}")
target_compile_definitions(integration PRIVATE
  PGSTRATA_DEFAULT_BINARY="${CMAKE_BINARY_DIR}/pgstrata"
  PGSTRATA_START_CEPH="${PROJECT_SOURCE_DIR}/test/support/start-ceph.sh"
  PGSTRATA_START_SWIFT="${PROJECT_SOURCE_DIR}/test/support/start-swift.sh")
target_link_libraries(integration PRIVATE pgstrata_options catch_main pgstrata::storage pgstrata::repository
  nlohmann_json::nlohmann_json)

# What cannot be tested without a server and calls code.
add_executable(integration-session
  integration/session_test.cpp
  integration/wal_summary_test.cpp
  support/cluster.cpp
  support/process.cpp
  support/tester.cpp)
target_include_directories(integration-session PRIVATE "${PROJECT_SOURCE_DIR}/test")
target_link_libraries(integration-session PRIVATE pgstrata_options catch_main pgstrata::postgres pgstrata::engine)
