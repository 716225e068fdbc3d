// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/version.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pgstrata::postgres {

namespace {

constexpr std::array<VersionTraits, 6> kVersions{{
    {.major = 13,
     .control_version = 1300,
     .catalog_version = 202007201,
     .wal_magic = 0xD106,
     .control_crc_offset = 288},
    {.major = 14,
     .control_version = 1300,
     .catalog_version = 202107181,
     .wal_magic = 0xD10D,
     .control_crc_offset = 288},
    {.major = 15,
     .control_version = 1300,
     .catalog_version = 202209061,
     .wal_magic = 0xD110,
     .control_crc_offset = 288,
     .has_backup_start_stop = true},
    {.major = 16,
     .control_version = 1300,
     .catalog_version = 202307071,
     .wal_magic = 0xD113,
     .control_crc_offset = 288,
     .has_backup_start_stop = true},
    {.major = 17,
     .control_version = 1700,
     .catalog_version = 202406281,
     .wal_magic = 0xD116,
     .control_crc_offset = 288,
     .has_backup_start_stop = true,
     .has_wal_summaries = true},
    {.major = 18,
     .control_version = 1800,
     .catalog_version = 202506291,
     .wal_magic = 0xD118,
     .control_crc_offset = 292,
     .has_backup_start_stop = true,
     .has_wal_summaries = true},
}};

template <typename Predicate>
const VersionTraits* find_if(Predicate predicate) noexcept
{
    const auto* const found = std::find_if(kVersions.begin(), kVersions.end(), predicate);
    return found == kVersions.end() ? nullptr : found;
}

} // namespace

std::span<const VersionTraits> known_versions() noexcept
{
    return kVersions;
}

const VersionTraits* find_version(unsigned major) noexcept
{
    return find_if([=](const VersionTraits& version) { return version.major == major; });
}

const VersionTraits* find_version(std::uint32_t control_version,
                                  std::uint32_t catalog_version) noexcept
{
    return find_if([=](const VersionTraits& version) {
        return version.control_version == control_version &&
               version.catalog_version == catalog_version;
    });
}

const VersionTraits* find_version_by_wal_magic(std::uint16_t magic) noexcept
{
    return find_if([=](const VersionTraits& version) { return version.wal_magic == magic; });
}

std::optional<unsigned> parse_major(std::string_view text) noexcept
{
    unsigned major = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, major);
    if (result.ec != std::errc{} || result.ptr != end || text.front() == '0' ||
        find_version(major) == nullptr) {
        return std::nullopt;
    }
    return major;
}

} // namespace pgstrata::postgres
