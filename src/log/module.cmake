pgstrata_module(log SOURCES log.cpp USES util)
