pgstrata_unit_test(repository
  SOURCES catalog_test.cpp document_test.cpp file_pages_random_test.cpp file_pages_test.cpp golden_test.cpp identity_mending_test.cpp identity_test.cpp
          journal_damage_test.cpp journal_test.cpp keys_test.cpp layout_test.cpp lease_test.cpp manifest_damage_test.cpp
          manifest_packs_test.cpp manifest_reader_test.cpp manifest_size_test.cpp manifest_test.cpp many_backups_test.cpp notes_test.cpp object_error_test.cpp pack_cache_test.cpp
          pack_test.cpp page_chain_test.cpp page_map_test.cpp recovery_plan_test.cpp recovery_window_test.cpp repository_test.cpp retention_random_test.cpp retention_request_test.cpp
          retention_test.cpp retention_wal_test.cpp wal_archive_test.cpp
          verify_record_test.cpp wal_coverage_test.cpp wal_digest_test.cpp wal_gap_test.cpp
  USES repository)
target_compile_definitions(unit-repository PRIVATE PGSTRATA_GOLDEN="${PROJECT_SOURCE_DIR}/test/golden")
# Half a minute in a debug build: not in the way of the others.
add_test(NAME unit-repository-slow COMMAND unit-repository "[slow]")
