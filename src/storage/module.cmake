# libcurl is loaded at run time (curl_library.cpp): only its headers are needed here.
pgstrata_module(storage
  SOURCES aws_signature.cpp curl_library.cpp failing.cpp http.cpp memory.cpp posix.cpp posix_directory.cpp posix_file.cpp
          retrying.cpp storage.cpp
  USES util log codec
  PRIVATE ${CMAKE_DL_LIBS})
target_include_directories(pgstrata_storage SYSTEM PRIVATE "${CURL_INCLUDE_DIRS}")
