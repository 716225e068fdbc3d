pgstrata_module(storage
  SOURCES aws_signature.cpp failing.cpp memory.cpp posix.cpp posix_directory.cpp posix_file.cpp retrying.cpp storage.cpp
  USES util log codec)
