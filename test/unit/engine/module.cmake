pgstrata_unit_test(engine SOURCES lock_test.cpp USES engine)
