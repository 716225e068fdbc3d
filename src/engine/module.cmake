pgstrata_module(engine
  SOURCES abandoned.cpp archive_get.cpp archive_push.cpp backup.cpp backup_plan.cpp
          cluster_check.cpp copy.cpp frame_packer.cpp lock.cpp lock_file.cpp page_reader.cpp
          place.cpp progress.cpp recovery_check.cpp recovery_settings.cpp restore.cpp
          restore_layout.cpp restore_target.cpp wal_changes.cpp wal_wait.cpp
          wal_window.cpp
  USES util log codec storage postgres repository)
