// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/wal_segment.hpp"

#include "postgres/wal_layout.hpp"

#include "pgstrata/postgres/version.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/hex.hpp"

#include <bit>
#include <charconv>

namespace pgstrata::postgres {

namespace {

// Each half of a segment's number has as many digits, too.
constexpr std::size_t kHexPart = kTimelineDigits;
static_assert(kSegmentDigits == 3 * kHexPart);
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kHistorySuffix = ".history";
constexpr std::string_view kBackupSuffix = ".backup";

constexpr std::uint16_t kKnownPageFlags = 0xF;

std::uint64_t segments_per_high_part(std::uint32_t segment_size) noexcept
{
    return (std::uint64_t{1} << 32U) / segment_size;
}

// The caller has checked that all of `digits` are hex.
std::uint32_t hex_value(std::string_view digits) noexcept
{
    std::uint32_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
}

bool is_hex_part(std::string_view text, std::size_t size) noexcept
{
    return text.size() == size && is_upper_hex(text);
}

std::optional<WalFileKind> kind_of_suffix(std::string_view suffix) noexcept
{
    if (suffix.empty()) {
        return WalFileKind::segment;
    }
    if (suffix == kPartialSuffix) {
        return WalFileKind::partial;
    }
    const bool is_backup = suffix.size() == 1 + kHexPart + kBackupSuffix.size() &&
                           suffix.front() == '.' && is_upper_hex(suffix.substr(1, kHexPart)) &&
                           suffix.substr(1 + kHexPart) == kBackupSuffix;
    return is_backup ? std::optional(WalFileKind::backup) : std::nullopt;
}

} // namespace

std::string to_string(WalSegment segment, std::uint32_t segment_size)
{
    const std::uint64_t per_part = segments_per_high_part(segment_size);
    return fmt::format("{:08X}{:08X}{:08X}",
                       segment.timeline,
                       segment.number / per_part,
                       segment.number % per_part);
}

std::optional<WalSegment> parse_wal_segment(std::string_view name,
                                            std::uint32_t segment_size) noexcept
{
    if (!is_hex_part(name, kSegmentDigits) || !is_wal_segment_size(segment_size)) {
        return std::nullopt;
    }
    const std::uint64_t per_part = segments_per_high_part(segment_size);
    const std::uint64_t high = hex_value(name.substr(kHexPart, kHexPart));
    const std::uint64_t low = hex_value(name.substr(2 * kHexPart));
    if (low >= per_part) {
        return std::nullopt;
    }
    return WalSegment{hex_value(name.substr(0, kHexPart)), high * per_part + low};
}

WalSegment segment_of(Timeline timeline, Lsn lsn, std::uint32_t segment_size) noexcept
{
    return {timeline, lsn.value / segment_size};
}

Lsn start_of(WalSegment segment, std::uint32_t segment_size) noexcept
{
    return Lsn{segment.number * segment_size};
}

WalSegment last_segment_before(Timeline timeline, Lsn stop, std::uint32_t segment_size) noexcept
{
    const std::uint64_t last_byte = stop.value == 0 ? 0 : stop.value - 1;
    return {timeline, last_byte / segment_size};
}

std::optional<WalFileName> parse_wal_file_name(std::string_view name)
{
    if (name.size() == kHexPart + kHistorySuffix.size() && is_upper_hex(name.substr(0, kHexPart)) &&
        name.substr(kHexPart) == kHistorySuffix) {
        return WalFileName{WalFileKind::history,
                           std::string(name),
                           std::string(),
                           hex_value(name.substr(0, kHexPart))};
    }
    const std::string_view segment = name.substr(0, kSegmentDigits);
    if (!is_hex_part(segment, kSegmentDigits)) {
        return std::nullopt;
    }
    const auto kind = kind_of_suffix(name.substr(kSegmentDigits));
    if (!kind) {
        return std::nullopt;
    }
    return WalFileName{
        *kind, std::string(name), std::string(segment), hex_value(segment.substr(0, kHexPart))};
}

bool is_wal_segment_size(std::uint64_t size) noexcept
{
    constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20U;
    return std::has_single_bit(size) && size >= kMebibyte && size <= 1024 * kMebibyte;
}

WalHeader parse_wal_header(ByteView bytes)
{
    if (bytes.size() < kWalHeaderSize) {
        raise(ErrorCode::format, "a WAL segment of only {} bytes has no header", bytes.size());
    }
    WalHeader header;
    header.magic = load<std::uint16_t>(bytes.data());
    const auto flags = load<std::uint16_t>(bytes.data() + 2);
    header.timeline = load<std::uint32_t>(bytes.data() + 4);
    header.page_address = Lsn{load<std::uint64_t>(bytes.data() + 8)};
    header.system_identifier = load<std::uint64_t>(bytes.data() + 24);
    header.segment_size = load<std::uint32_t>(bytes.data() + 32);
    header.page_size = load<std::uint32_t>(bytes.data() + 36);
    if ((flags & wal::kLongHeaderFlag) == 0 || (flags & ~kKnownPageFlags) != 0) {
        raise(ErrorCode::format, "impossible flags 0x{:04X} in a WAL segment's header", flags);
    }
    if (!is_wal_segment_size(header.segment_size) || !std::has_single_bit(header.page_size) ||
        header.page_size < 1024 || header.page_size > 65536) {
        raise(ErrorCode::format,
              "impossible sizes in a WAL segment's header: segment {}, page {}",
              header.segment_size,
              header.page_size);
    }
    if (header.page_address.value % header.segment_size != 0) {
        raise(ErrorCode::format,
              "WAL page {} is not the first of a segment",
              to_string(header.page_address));
    }
    const VersionTraits* version = find_version_by_wal_magic(header.magic);
    header.major = version == nullptr ? 0 : version->major;
    return header;
}

} // namespace pgstrata::postgres
