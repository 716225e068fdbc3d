// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/util/bytes.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::postgres {

// One segment of WAL: a timeline and a number in units of the segment size.
struct WalSegment {
    Timeline timeline = 0;
    std::uint64_t number = 0;
    auto operator<=>(const WalSegment&) const = default;
};

// Digits of the name of a segment, and of its timeline, which comes first.
inline constexpr std::size_t kSegmentDigits = 24;
inline constexpr std::size_t kTimelineDigits = 8;

// "000000010000000000000002"; the segment size (bytes, a power of two from 1 MiB to 1 GiB) decides
// how the number is split.
std::string to_string(WalSegment segment, std::uint32_t segment_size);
// Upper-case hex only; nullopt when it is no name or its low part is impossible for that segment
// size.
std::optional<WalSegment> parse_wal_segment(std::string_view name,
                                            std::uint32_t segment_size) noexcept;

WalSegment segment_of(Timeline timeline, Lsn lsn, std::uint32_t segment_size) noexcept;
Lsn start_of(WalSegment segment, std::uint32_t segment_size) noexcept;
// The segment with the last byte before `stop` (a stop exactly on a border needs only the segment
// before).
WalSegment last_segment_before(Timeline timeline, Lsn stop, std::uint32_t segment_size) noexcept;

enum class WalFileKind : std::uint8_t { segment, partial, history, backup };

// Whether such a file is a segment of WAL, whole or begun.
constexpr bool holds_wal(WalFileKind kind) noexcept
{
    return kind == WalFileKind::segment || kind == WalFileKind::partial;
}

// What archive_command and restore_command may be asked for, told by name alone.
struct WalFileName {
    WalFileKind kind = WalFileKind::segment;
    std::string name;    // whole
    std::string segment; // the 24 hex digits; empty for a history file
    Timeline timeline = 0;
};

// nullopt for anything else: a path, another length, lower-case digits.
std::optional<WalFileName> parse_wal_file_name(std::string_view name);

bool is_wal_segment_size(std::uint64_t size) noexcept;

// The long header of a segment's first page.
struct WalHeader {
    std::uint16_t magic = 0;
    unsigned major = 0; // 0 when the magic is unknown
    Timeline timeline = 0;
    Lsn page_address;
    std::uint64_t system_identifier = 0;
    std::uint32_t segment_size = 0;
    std::uint32_t page_size = 0;
};

inline constexpr std::size_t kWalHeaderSize = 40;

// Throws Error(format) when the bytes cannot be the first page of a segment.
WalHeader parse_wal_header(ByteView bytes);

} // namespace pgstrata::postgres
