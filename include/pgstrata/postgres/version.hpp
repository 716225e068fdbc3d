// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgstrata::postgres {

// Where pg_control keeps the fields after the first 56 bytes, which are the same everywhere. The
// defaults are those of 13 to 18.
struct ControlOffsets {
    std::uint16_t checkpoint_time = 104;
    std::uint16_t min_recovery_point = 136;
    std::uint16_t min_recovery_timeline = 144;
    std::uint16_t wal_level = 172;
    std::uint16_t page_size = 216;
    std::uint16_t segment_pages = 220;
    std::uint16_t wal_page_size = 224;
    std::uint16_t wal_segment_size = 228;
    std::uint16_t data_checksum_version = 252;
};

// What differs between the majors we know; one row is all a new major needs.
struct VersionTraits {
    unsigned major = 0;
    std::uint32_t control_version = 0;
    std::uint32_t catalog_version = 0; // the released one
    std::uint16_t wal_magic = 0;
    std::uint16_t control_crc_offset = 0;
    bool has_backup_start_stop = false; // pg_backup_start (15+) instead of pg_start_backup
    bool has_wal_summaries = false;     // 17+
    // The bit of a WAL page that starts anew where a crash left a record unfinished.
    std::uint16_t wal_overwrite_flag = 8;
    ControlOffsets control = {};
};

std::span<const VersionTraits> known_versions() noexcept;
// nullptr for an unknown major.
const VersionTraits* find_version(unsigned major) noexcept;
// By what pg_control says; the control version alone does not tell 13 from 16.
const VersionTraits* find_version(std::uint32_t control_version,
                                  std::uint32_t catalog_version) noexcept;
// By the magic number of a WAL page.
const VersionTraits* find_version_by_wal_magic(std::uint16_t magic) noexcept;
// "15" to 15; nullopt when it is not a known major.
std::optional<unsigned> parse_major(std::string_view text) noexcept;

} // namespace pgstrata::postgres
