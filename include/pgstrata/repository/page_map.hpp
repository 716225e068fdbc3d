// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/pack.hpp"
#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <vector>

namespace pgstrata::repository {

// Which pages of a relation file a backup stored and where. The full's map is dense: every page, in
// order. A delta's lists page numbers, ascending. Pages lie one after another in the data extents.
//
// Encoding (varints as in SerialWriter): u8 version 1, u8 flags (1 dense), varint page size, varint
// pages in the file (its length), varint stored pages, varint extents; for each extent pack,
// offset, length, position, size; unless dense for each page the distance to the page before it
// (the first: its number); then a u64 hash a page.
struct PageMap {
    std::uint32_t page_size = 8192;
    std::uint32_t file_pages = 0; // length of the file when it was copied
    bool is_dense = true;
    std::vector<std::uint32_t> numbers; // of the stored pages; empty when dense
    std::vector<Extent> extents;        // their sizes are whole pages
    std::vector<std::uint64_t> hashes;  // page_hash() a stored page

    std::size_t stored_pages() const noexcept { return hashes.size(); }
    std::uint32_t page_number(std::size_t index) const noexcept
    {
        return is_dense ? static_cast<std::uint32_t>(index) : numbers[index];
    }
};

void encode_page_map(const PageMap& map, Buffer& out);
// Checks every bound; throws Error(format) naming `what`.
PageMap decode_page_map(ByteView bytes, std::string_view what);

} // namespace pgstrata::repository
