# libcurl is loaded at run time (curl_library.cpp): only its headers are needed here.
pgstrata_module(storage
  SOURCES aws_credential_text.cpp aws_credentials.cpp aws_signature.cpp aws_text.cpp curl_library.cpp failing.cpp http.cpp
          memory.cpp posix.cpp posix_directory.cpp posix_file.cpp prefetcher.cpp read_ahead.cpp retry.cpp s3_address.cpp s3_client.cpp s3_error.cpp
          s3_source.cpp s3_storage.cpp s3_upload.cpp s3_xml.cpp storage.cpp
  USES util log codec
  PRIVATE pugixml::static nlohmann_json::nlohmann_json)
target_include_directories(pgstrata_storage SYSTEM PRIVATE "${CURL_INCLUDE_DIRS}")
