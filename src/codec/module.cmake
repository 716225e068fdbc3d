# libcrypto is loaded at run time (crypto_library.cpp): only its headers are needed here.
pgstrata_module(codec
  SOURCES cipher.cpp crypto_library.cpp digest.cpp key.cpp object.cpp zstd.cpp
  USES util
  PRIVATE ${ZSTD_LIBRARY})
target_include_directories(pgstrata_codec SYSTEM PRIVATE ${OPENSSL_INCLUDE_DIR} ${ZSTD_INCLUDE} ${XXHASH_INCLUDE})
