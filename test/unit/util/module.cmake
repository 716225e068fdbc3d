pgstrata_unit_test(util
  SOURCES bytes_test.cpp cancel_test.cpp error_test.cpp file_descriptor_test.cpp gentle_reader_test.cpp hex_test.cpp once_test.cpp ownership_test.cpp parallel_test.cpp
          path_test.cpp printable_test.cpp process_test.cpp serial_test.cpp shared_library_test.cpp size_test.cpp stream_test.cpp time_test.cpp
  USES util)
