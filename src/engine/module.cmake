pgstrata_module(engine
  SOURCES abandoned.cpp added_files.cpp archive_get.cpp archive_state.cpp archive_get_async.cpp archive_push.cpp
          archive_push_async.cpp arriving_file.cpp backup.cpp backup_flaws.cpp
          backup_changes.cpp backup_claim.cpp backup_label.cpp backup_plan.cpp backup_server.cpp backup_source.cpp backup_summary.cpp
          backup_wal.cpp cache_gauge.cpp change_detection.cpp cluster_check.cpp copy.cpp copy_state.cpp damaged_files.cpp
          database_names.cpp expire.cpp expire_backups.cpp expire_catalog.cpp expire_wal.cpp frame_packer.cpp leftovers.cpp lock.cpp
          lock_file.cpp needed_backups.cpp own_wal.cpp pack_check.cpp page_audit.cpp
          page_collector.cpp page_file_copier.cpp page_placer.cpp page_reader.cpp place.cpp
          place_plan.cpp prior_backup.cpp progress.cpp recovery_check.cpp recovery_settings.cpp
          remains.cpp repository_probe.cpp restore.cpp restore_choice.cpp restore_clean.cpp restore_layout.cpp restore_plan.cpp
          restore_survey.cpp restore_sync.cpp restore_target.cpp restore_tree.cpp root_contents.cpp server_wal.cpp spool.cpp
          stanza_delete.cpp stopped_cluster.cpp target_file.cpp target_space.cpp unfinished_backup.cpp verify.cpp verify_archive.cpp
          verify_backup.cpp verify_claims.cpp verify_coverage.cpp verify_findings.cpp verify_pack.cpp verify_packs.cpp
          verify_unreadable.cpp wal_changes.cpp wal_flaws.cpp wal_wait.cpp wal_window.cpp whole_file_copier.cpp
  USES util log codec storage postgres repository)
