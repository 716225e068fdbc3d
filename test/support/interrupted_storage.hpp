// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <functional>
#include <string>
#include <utility>

namespace pgstrata::test {

// Runs `action` once, before `path` is listed or opened for the first time: what another host does
// at the worst moment. Everything else is passed on to `inner`, which must outlive it.
class InterruptedStorage final : public storage::Storage {
public:
    InterruptedStorage(storage::Storage& inner, std::string path, std::function<void()> action)
        : inner_(inner), path_(std::move(path)), action_(std::move(action))
    {
    }
    std::string location() const override { return inner_.location(); }
    std::optional<storage::EntryInfo> info(std::string_view path) const override
    {
        return inner_.info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        interrupt(directory);
        inner_.list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        interrupt(path);
        return inner_.open(path);
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        return inner_.create(path, mode);
    }
    bool remove(std::string_view path) override { return inner_.remove(path); }
    bool remove_directory(std::string_view path) override { return inner_.remove_directory(path); }

private:
    void interrupt(std::string_view path) const
    {
        if (path == path_ && action_) {
            std::exchange(action_, nullptr)();
        }
    }

    storage::Storage& inner_;
    std::string path_;
    mutable std::function<void()> action_;
};

} // namespace pgstrata::test
