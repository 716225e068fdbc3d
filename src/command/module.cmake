pgstrata_module(command
  SOURCES annotate.cpp archive_get.cpp archive_get_async.cpp archive_push.cpp archive_push_async.cpp
          background.cpp backup.cpp check.cpp error_names.cpp expire.cpp help.cpp info.cpp info_health.cpp info_json.cpp
          info_report.cpp info_text.cpp info_verified.cpp listing.cpp locks.cpp object_kind.cpp output.cpp repo_get.cpp repo_ls.cpp repositories.cpp
          repository_access.cpp repository_path.cpp restore.cpp restore_plan_text.cpp retention_policy.cpp
          run_command.cpp s3_repository.cpp server.cpp stanza.cpp
          stanza_create.cpp stanza_delete.cpp stanza_upgrade.cpp start.cpp stop.cpp
          verify.cpp verify_json.cpp verify_text.cpp version.cpp wal_drop.cpp
  USES util log config codec storage postgres repository engine)
