pgstrata_module(repository
  SOURCES catalog.cpp damage.cpp document.cpp extent_codec.cpp file_pages.cpp identity.cpp journal.cpp keys.cpp layout.cpp lease.cpp manifest_names.cpp manifest_packs.cpp manifest_reader.cpp manifest_records.cpp manifest_writer.cpp notes.cpp numbered_documents.cpp object_error.cpp pack.cpp page_map.cpp
          recovery_plan.cpp recovery_window.cpp repository.cpp retention.cpp retention_graph.cpp retention_rules.cpp
          retention_wal.cpp twin.cpp verify_record.cpp wal_archive.cpp wal_coverage.cpp wal_digest.cpp wal_gap.cpp
  USES util log codec storage postgres)
# PUBLIC: the headers name the JSON library's forward declarations.
target_link_libraries(pgstrata_repository PUBLIC nlohmann_json::nlohmann_json)
