// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/util/bytes.hpp"

#include <cstdint>

namespace pgstrata::postgres {

// The checksum of a page as if it were block `block` of its fork; the stored checksum field counts
// as zero. `page` is a whole page (a multiple of 128 bytes). Uses the vector units the processor
// has.
std::uint16_t page_checksum(ByteView page, std::uint32_t block) noexcept;

// log sequence number of the last change; zero for pages that were never WAL-logged.
Lsn page_lsn(ByteView page) noexcept;

enum class PageState : std::uint8_t {
    good,
    empty,    // new: all zero
    changing, // checksum or header wrong, but its LSN lies between `start` and `limit`: replay
              // brings a full image
    bad,      // damaged, unless a second read differs
};

struct PageCheck {
    bool checksums = true; // the cluster has data checksums
    bool headers = true;   // page-header-check
    Lsn start;             // of the backup
    Lsn limit;             // exclusive; no page can be newer: the insert position with a margin
};

// A page whose checksum and header are right is good whatever its LSN; one that claims to be new
// but holds anything is bad.
PageState check_page(ByteView page, std::uint32_t block, const PageCheck& check) noexcept;

} // namespace pgstrata::postgres
