pgstrata_unit_test(engine SOURCES lock_test.cpp recovery_settings_test.cpp USES engine)
