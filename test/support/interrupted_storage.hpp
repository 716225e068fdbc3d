// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/passing_storage.hpp"

#include <functional>
#include <string>
#include <utility>

namespace pgstrata::test {

// Runs `action` once, before `path` is listed or opened for the first time: what another host does
// at the worst moment.
class InterruptedStorage final : public PassingStorage {
public:
    InterruptedStorage(storage::Storage& inner, std::string path, std::function<void()> action)
        : PassingStorage(inner), path_(std::move(path)), action_(std::move(action))
    {
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        interrupt(directory);
        PassingStorage::list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        interrupt(path);
        return PassingStorage::open(path);
    }

private:
    void interrupt(std::string_view path) const
    {
        if (path == path_ && action_) {
            std::exchange(action_, nullptr)();
        }
    }

    std::string path_;
    mutable std::function<void()> action_;
};

} // namespace pgstrata::test
