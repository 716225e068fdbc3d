pgstrata_unit_test(engine SOURCES lock_test.cpp place_test.cpp recovery_settings_test.cpp restore_databases_test.cpp restore_layout_test.cpp restore_target_test.cpp wal_window_test.cpp USES engine)
