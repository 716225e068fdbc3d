pgstrata_unit_test(storage
  SOURCES aws_signature_test.cpp contract_test.cpp decorators_test.cpp posix_durability_test.cpp posix_test.cpp
          ../../support/storage_contract.cpp
  USES storage)
