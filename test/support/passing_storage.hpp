// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

namespace pgstrata::test {

// Passes everything to `inner`, which must outlive it: for those that look at some operations, or
// make them fail. Many files are removed one by one, as remove() does it.
class PassingStorage : public storage::Storage {
public:
    explicit PassingStorage(storage::Storage& inner) : inner_(inner) {}
    std::string location() const override { return inner_.location(); }
    bool is_listing_cheap() const noexcept override { return inner_.is_listing_cheap(); }
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
        return inner_.open(path);
    }
    std::unique_ptr<storage::PendingFile> create(std::string_view path,
                                                 storage::WriteMode mode) override
    {
        return inner_.create(path, mode);
    }
    void make_durable(std::string_view path) override { inner_.make_durable(path); }
    bool remove(std::string_view path) override { return inner_.remove(path); }
    bool remove_directory(std::string_view path) override { return inner_.remove_directory(path); }

protected:
    storage::Storage& inner() const noexcept { return inner_; }

private:
    storage::Storage& inner_;
};

} // namespace pgstrata::test
