// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/control_file.hpp"

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>

#include <bit>

namespace pgstrata::postgres {

namespace {

constexpr std::size_t kVersionsEnd = 16;
constexpr std::size_t kCheckpointOffset = 32;
constexpr unsigned kReadAttempts = 10;
constexpr std::uint64_t kRetryMilliseconds = 10;

const VersionTraits& layout_by_major(unsigned major)
{
    const VersionTraits* version = find_version(major);
    if (version == nullptr) {
        raise(ErrorCode::version_not_supported, "PostgreSQL {} is not supported", major);
    }
    return *version;
}

const VersionTraits& layout_of(ByteView bytes, unsigned major_override)
{
    if (bytes.size() < kVersionsEnd) {
        raise(ErrorCode::format, "'{}' holds only {} bytes", kControlFilePath, bytes.size());
    }
    if (major_override != 0) {
        return layout_by_major(major_override);
    }
    const auto control_version = load<std::uint32_t>(bytes.data() + 8);
    const auto catalog_version = load<std::uint32_t>(bytes.data() + 12);
    const VersionTraits* version = find_version(control_version, catalog_version);
    if (version == nullptr) {
        throw Error(ErrorCode::version_not_supported,
                    fmt::format("unexpected control version {} and catalog version {} in '{}'",
                                control_version,
                                catalog_version,
                                kControlFilePath),
                    "is this version of PostgreSQL supported?");
    }
    return *version;
}

void check_crc(ByteView bytes, const VersionTraits& version)
{
    const std::size_t offset = version.control_crc_offset;
    if (bytes.size() < offset + sizeof(std::uint32_t)) {
        raise(ErrorCode::format, "'{}' holds only {} bytes", kControlFilePath, bytes.size());
    }
    if (load<std::uint32_t>(bytes.data() + offset) != crc32c(bytes.first(offset))) {
        throw Error(ErrorCode::checksum,
                    fmt::format("the checksum of '{}' does not match its contents as PostgreSQL {} "
                                "lays them out",
                                kControlFilePath,
                                version.major),
                    "is the file damaged, or the server built from modified sources?");
    }
}

bool is_power_of_two_within(std::uint32_t value, std::uint32_t low, std::uint32_t high) noexcept
{
    return std::has_single_bit(value) && value >= low && value <= high;
}

// Callers divide by these and allocate by them.
void check_sizes(const ControlFile& control)
{
    constexpr std::uint32_t kKibibyte = 1024;
    if (!is_power_of_two_within(control.page_size, kKibibyte, 32 * kKibibyte) ||
        !is_power_of_two_within(control.wal_page_size, kKibibyte, 64 * kKibibyte) ||
        !is_wal_segment_size(control.wal_segment_size) || control.segment_pages == 0) {
        raise(
            ErrorCode::format,
            "impossible sizes in '{}': page {}, pages in a segment {}, WAL page {}, WAL segment {}",
            kControlFilePath,
            control.page_size,
            control.segment_pages,
            control.wal_page_size,
            control.wal_segment_size);
    }
}

Buffer read_control_bytes(const std::string& data_directory)
{
    const std::string path = join_path(data_directory, kControlFilePath);
    FileDescriptor file;
    try {
        file = open_file(path, O_RDONLY);
    } catch (const Error& error) {
        throw error.with_hint("is this the data directory of a PostgreSQL cluster?");
    }
    Buffer bytes(kControlFileSize);
    bytes.resize(read_fully(file.get(), bytes.span(), path));
    return bytes;
}

} // namespace

ControlFile parse_control_file(ByteView bytes, unsigned major_override)
{
    const VersionTraits& version = layout_of(bytes, major_override);
    check_crc(bytes, version);

    const auto u32 = [&](std::size_t offset) { return load<std::uint32_t>(bytes.data() + offset); };
    const auto u64 = [&](std::size_t offset) { return load<std::uint64_t>(bytes.data() + offset); };
    const ControlOffsets& offsets = version.control;
    ControlFile control;
    control.major = version.major;
    control.system_identifier = u64(0);
    control.control_version = u32(8);
    control.catalog_version = u32(12);
    control.state = u32(16);
    control.checkpoint = Lsn{u64(kCheckpointOffset)};
    control.checkpoint_redo = Lsn{u64(40)};
    control.timeline = u32(48);
    control.checkpoint_time = load<std::int64_t>(bytes.data() + offsets.checkpoint_time);
    control.min_recovery_point = Lsn{u64(offsets.min_recovery_point)};
    control.min_recovery_timeline = u32(offsets.min_recovery_timeline);
    control.wal_level = load<std::int32_t>(bytes.data() + offsets.wal_level);
    control.page_size = u32(offsets.page_size);
    control.segment_pages = u32(offsets.segment_pages);
    control.wal_page_size = u32(offsets.wal_page_size);
    control.wal_segment_size = u32(offsets.wal_segment_size);
    control.data_checksum_version = u32(offsets.data_checksum_version);
    check_sizes(control);
    return control;
}

Buffer poison_control_file(ByteView bytes, unsigned major_override)
{
    const VersionTraits& version = layout_of(bytes, major_override);
    check_crc(bytes, version);

    Buffer poisoned;
    poisoned.append(bytes);
    store(poisoned.data() + kCheckpointOffset, kPoisonCheckpoint.value);
    store(poisoned.data() + version.control_crc_offset,
          crc32c(poisoned.view().first(version.control_crc_offset)));
    return poisoned;
}

ControlFileCopy read_control_file(const std::function<Buffer()>& read_once,
                                  const Clock& clock,
                                  unsigned major_override)
{
    for (unsigned attempt = 1;; ++attempt) {
        try {
            ControlFileCopy copy;
            copy.bytes = read_once();
            copy.control = parse_control_file(copy.bytes, major_override);
            if (copy.bytes.size() != kControlFileSize) {
                raise(ErrorCode::format,
                      "'{}' holds {} bytes instead of {}",
                      kControlFilePath,
                      copy.bytes.size(),
                      kControlFileSize);
            }
            return copy;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::checksum || attempt == kReadAttempts) {
                throw;
            }
        }
        clock.sleep(kRetryMilliseconds);
    }
}

ControlFileCopy read_control_file(const std::string& data_directory, unsigned major_override)
{
    const auto read_once = [&] { return read_control_bytes(data_directory); };
    return read_control_file(read_once, Clock{}, major_override);
}

} // namespace pgstrata::postgres
