// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <algorithm>
#include <atomic>

namespace pgstrata::test {

// Passes everything to `inner`, which must outlive it, and counts reads and open files.
class CountingStorage final : public storage::Storage {
public:
    explicit CountingStorage(storage::Storage& inner) : inner_(inner) {}

    int reads() const noexcept { return reads_; }
    int most_open() const noexcept { return most_open_; }

    std::string location() const override { return inner_.location(); }
    std::optional<storage::EntryInfo> info(std::string_view path) const override
    {
        return inner_.info(path);
    }
    void list(std::string_view directory, const Visitor& visit) const override
    {
        inner_.list(directory, visit);
    }
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        return std::make_unique<Source>(inner_.open(path), *this);
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        return inner_.create(path, mode);
    }
    bool remove(std::string_view path) override { return inner_.remove(path); }
    bool remove_directory(std::string_view path) override { return inner_.remove_directory(path); }

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

    storage::Storage& inner_;
    mutable std::atomic<int> reads_ = 0;
    mutable std::atomic<int> open_ = 0;
    mutable std::atomic<int> most_open_ = 0;
};

} // namespace pgstrata::test
