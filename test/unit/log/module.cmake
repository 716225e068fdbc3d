pgstrata_unit_test(log SOURCES log_test.cpp USES log)
