// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <functional>
#include <memory>
#include <string>

namespace pgstrata::test {

// A storage with all that must live as long as it does.
struct StorageUnderTest {
    std::shared_ptr<void> environment;
    std::unique_ptr<storage::Storage> storage;
};

struct StorageTraits {
    bool has_directories = true; // empty ones exist and can be removed
    bool has_any_names = true;   // not only UTF-8
};

// Holds a storage against the contract in pgstrata/storage/storage.hpp. `make_empty` is called once
// for each part. Call it from a TEST_CASE: the parts are sections.
void check_storage_contract(const std::function<StorageUnderTest()>& make_empty,
                            StorageTraits traits = {});

// Writes and reads a small file as text.
void write_text(storage::Storage& storage,
                const std::string& path,
                const std::string& text,
                storage::WriteMode mode = storage::WriteMode::once);
std::string read_text(const storage::Storage& storage, const std::string& path);
// The names directly in `directory`, directories with a slash behind, joined by blanks.
std::string names(const storage::Storage& storage, const std::string& directory);

} // namespace pgstrata::test
