// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/passing_storage.hpp"

#include <algorithm>
#include <atomic>

namespace pgstrata::test {

// Counts reads and open files.
class CountingStorage final : public PassingStorage {
public:
    explicit CountingStorage(storage::Storage& inner) : PassingStorage(inner) {}

    int reads() const noexcept { return reads_; }
    int most_open() const noexcept { return most_open_; }

    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        return std::make_unique<Source>(PassingStorage::open(path), *this);
    }

private:
    class Source final : public RandomSource {
    public:
        Source(std::unique_ptr<RandomSource> inner, const CountingStorage& counts)
            : inner_(std::move(inner)), counts_(counts)
        {
            counts_.most_open_ = std::max(counts_.most_open_.load(), ++counts_.open_);
        }
        ~Source() override { --counts_.open_; }
        std::size_t read_at(std::uint64_t offset, MutableBytes into) const override
        {
            ++counts_.reads_;
            return inner_->read_at(offset, into);
        }
        std::uint64_t size() const override { return inner_->size(); }

    private:
        std::unique_ptr<RandomSource> inner_;
        const CountingStorage& counts_;
    };

    mutable std::atomic<int> reads_ = 0;
    mutable std::atomic<int> open_ = 0;
    mutable std::atomic<int> most_open_ = 0;
};

} // namespace pgstrata::test
