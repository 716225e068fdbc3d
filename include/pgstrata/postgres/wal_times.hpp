// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/util/bytes.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pgstrata::postgres {

// The range of the times at which transactions ended (committed or aborted), in microseconds since
// the Unix epoch.
struct WalTimes {
    std::int64_t first = 0;
    std::int64_t last = 0;
    bool operator==(const WalTimes&) const = default;
};

// Finds those of one segment while it goes by, at a fraction of what WalReader costs: it follows
// the lengths of records and checks nothing but the headers of pages. For WAL that a server has
// just written, or that has been checked. One thread at a time.
class WalTimeScan {
public:
    // The next bytes of the segment, front to back. Pieces are whole pages; the scan ends quietly
    // at the first that is none, and where the WAL ends.
    void feed(ByteView piece) noexcept;
    // nullopt when no transaction has ended in what was fed.
    std::optional<WalTimes> times() const noexcept { return times_; }

private:
    // As much of a record as it takes to find the time in it.
    static constexpr std::size_t kHeadSize = 64;

    bool begin(ByteView first_page) noexcept;
    void scan_page(ByteView page) noexcept;
    // Where the first record of the page begins; the end of the page when none does.
    std::size_t finish_continued(ByteView page, std::size_t at) noexcept;
    void look_at(ByteView head) noexcept;

    bool has_begun_ = false;
    bool has_ended_ = false;
    std::uint16_t magic_ = 0;
    std::size_t page_size_ = 0;
    Lsn next_page_;
    // The head of a record that goes on on the next page.
    std::array<std::byte, kHeadSize> head_{};
    std::size_t head_size_ = 0;
    std::optional<WalTimes> times_;
};

} // namespace pgstrata::postgres
