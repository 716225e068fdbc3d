// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <functional>
#include <string>
#include <utility>

namespace pgstrata::test {

enum class StorageCall { info, list, open, create, remove, remove_directory };

// Calls `hook` before each operation, on the thread that asks for it. Everything is passed on to
// `inner`, which must outlive it.
class HookedStorage final : public storage::Storage {
public:
    using Hook = std::function<void(StorageCall call, std::string_view path)>;

    HookedStorage(storage::Storage& inner, Hook hook) : inner_(inner), hook_(std::move(hook)) {}
    std::string location() const override { return inner_.location(); }
    std::optional<storage::EntryInfo> info(std::string_view path) const override
    {
        hook_(StorageCall::info, path);
        return inner_.info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        hook_(StorageCall::list, directory);
        inner_.list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        hook_(StorageCall::open, path);
        return inner_.open(path);
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        hook_(StorageCall::create, path);
        return inner_.create(path, mode);
    }
    bool remove(std::string_view path) override
    {
        hook_(StorageCall::remove, path);
        return inner_.remove(path);
    }
    bool remove_directory(std::string_view path) override
    {
        hook_(StorageCall::remove_directory, path);
        return inner_.remove_directory(path);
    }

private:
    storage::Storage& inner_;
    Hook hook_;
};

} // namespace pgstrata::test
