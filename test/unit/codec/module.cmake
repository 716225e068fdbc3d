pgstrata_unit_test(codec SOURCES cipher_test.cpp digest_test.cpp key_test.cpp object_test.cpp zstd_test.cpp USES codec)
# A test changes what the library allows.
target_link_libraries(unit-codec PRIVATE OpenSSL::Crypto)
