pgstrata_module(codec
  SOURCES cipher.cpp digest.cpp key.cpp object.cpp zstd.cpp
  USES util
  PRIVATE ${ZSTD_LIBRARY} OpenSSL::Crypto)
target_include_directories(pgstrata_codec PRIVATE ${ZSTD_INCLUDE} ${XXHASH_INCLUDE})
