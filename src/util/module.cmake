pgstrata_module(util
  SOURCES bytes.cpp cancel.cpp error.cpp file_descriptor.cpp file_status.cpp fmt.cpp gentle_reader.cpp hex.cpp ownership.cpp parallel.cpp path.cpp printable.cpp process.cpp serial.cpp shared_library.cpp size.cpp
          stream.cpp time.cpp
  PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
