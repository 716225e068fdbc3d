pgstrata_unit_test(storage
  SOURCES aws_credentials_test.cpp aws_signature_test.cpp aws_text_test.cpp contract_test.cpp decorators_test.cpp
          http_test.cpp posix_durability_test.cpp posix_test.cpp prefetcher_test.cpp read_ahead_test.cpp retry_test.cpp fake_s3.cpp s3_address_test.cpp s3_ceph_test.cpp s3_contract_test.cpp
          s3_faults_test.cpp s3_requests_test.cpp s3_xml_test.cpp
          ../../support/http_server.cpp ../../support/process.cpp ../../support/storage_contract.cpp
          ../../support/s3_server.cpp ../../support/swift.cpp ../../support/ceph.cpp
  USES storage)
# The server in the test process speaks TLS.
target_link_libraries(unit-storage PRIVATE OpenSSL::SSL)
target_include_directories(unit-storage SYSTEM PRIVATE "${CURL_INCLUDE_DIRS}")
target_compile_definitions(unit-storage PRIVATE
  PGSTRATA_START_CEPH="${PROJECT_SOURCE_DIR}/test/support/start-ceph.sh"
  PGSTRATA_START_SWIFT="${PROJECT_SOURCE_DIR}/test/support/start-swift.sh")
