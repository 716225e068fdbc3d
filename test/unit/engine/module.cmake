pgstrata_unit_test(engine
  SOURCES abandoned_test.cpp archive_get_async_test.cpp archive_get_test.cpp archive_state_test.cpp
          archive_push_async_test.cpp archive_push_test.cpp backup_chain_fault_test.cpp backup_claim_test.cpp
          backup_fault_test.cpp backup_plan_test.cpp backup_source_test.cpp backup_test.cpp cache_gauge_test.cpp change_detection_test.cpp cluster_check_test.cpp
          copy_candidates_test.cpp copy_delta_test.cpp copy_pages_test.cpp copy_resume_test.cpp
          copy_test.cpp expire_fault_test.cpp expire_race_test.cpp expire_test.cpp lock_test.cpp other_user.cpp place_chain_test.cpp place_delta_test.cpp place_plan_test.cpp place_test.cpp
          plan_size_test.cpp prior_backup_test.cpp recovery_settings_test.cpp repository_model_test.cpp repository_probe_test.cpp restore_clean_test.cpp
          restore_choice_test.cpp restore_databases_test.cpp restore_delta_test.cpp restore_layout_test.cpp restore_refusal_test.cpp restore_survey_test.cpp restore_sync_test.cpp restore_target_test.cpp restore_test.cpp spool_test.cpp
          stanza_delete_test.cpp target_file_test.cpp unfinished_backup_test.cpp verify_damage_test.cpp verify_quick_test.cpp verify_test.cpp verify_unreadable_test.cpp
          wal_changes_test.cpp wal_wait_test.cpp wal_window_test.cpp
  USES engine)
