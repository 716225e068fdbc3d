// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <cstdint>
#include <string>
#include <vector>

// What repo-ls shows.
namespace pgstrata::command {

enum class SortOrder : std::uint8_t { none, ascending, descending };

struct ListingOptions {
    std::string path; // relative to the root, empty for the root itself
    std::string
        filter; // POSIX extended regular expression that a shown name must match; empty for all
    bool recurse = false;
    SortOrder order = SortOrder::ascending;
};

// The entries below a path by their names relative to it, parents first; the path itself is ".". A
// path that is not there is an empty directory. Throws Error(format) for a filter that is no
// regular expression.
std::vector<storage::EntryInfo> make_listing(const storage::Storage& storage,
                                             const ListingOptions& options);

// One name a line, without the directory itself.
std::string render_listing_text(const std::vector<storage::EntryInfo>& entries);
// One object with a member an entry, and a line feed.
std::string render_listing_json(const std::vector<storage::EntryInfo>& entries);

} // namespace pgstrata::command
