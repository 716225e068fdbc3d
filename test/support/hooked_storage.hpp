// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/passing_storage.hpp"

#include <functional>
#include <utility>

namespace pgstrata::test {

enum class StorageCall { info, list, open, create, make_durable, remove, remove_directory };

// Calls `hook` before each operation, on the thread that asks for it.
class HookedStorage final : public PassingStorage {
public:
    using Hook = std::function<void(StorageCall call, std::string_view path)>;

    HookedStorage(storage::Storage& inner, Hook hook)
        : PassingStorage(inner), hook_(std::move(hook))
    {
    }
    std::optional<storage::EntryInfo> info(std::string_view path) const override
    {
        hook_(StorageCall::info, path);
        return PassingStorage::info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        hook_(StorageCall::list, directory);
        PassingStorage::list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        hook_(StorageCall::open, path);
        return PassingStorage::open(path);
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        hook_(StorageCall::create, path);
        return PassingStorage::create(path, mode);
    }
    void make_durable(std::string_view path) override
    {
        hook_(StorageCall::make_durable, path);
        PassingStorage::make_durable(path);
    }
    bool remove(std::string_view path) override
    {
        hook_(StorageCall::remove, path);
        return PassingStorage::remove(path);
    }
    bool remove_directory(std::string_view path) override
    {
        hook_(StorageCall::remove_directory, path);
        return PassingStorage::remove_directory(path);
    }

private:
    Hook hook_;
};

} // namespace pgstrata::test
