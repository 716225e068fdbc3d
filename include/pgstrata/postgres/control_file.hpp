// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/postgres/version.hpp"
#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/time.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace pgstrata::postgres {

inline constexpr std::size_t kControlFileSize = 8192;
inline constexpr std::string_view kControlFilePath = "global/pg_control";

// The fields of global/pg_control that matter here.
struct ControlFile {
    unsigned major = 0;
    std::uint64_t system_identifier = 0;
    std::uint32_t control_version = 0;
    std::uint32_t catalog_version = 0;
    std::uint32_t state = 0; // 0 starting .. 6 in production
    Lsn checkpoint;          // of the latest checkpoint record
    Lsn checkpoint_redo;
    Timeline timeline = 0; // of the latest checkpoint
    UnixSeconds checkpoint_time = 0;
    Lsn min_recovery_point;
    Timeline min_recovery_timeline = 0;
    std::uint32_t page_size = 0;
    std::uint32_t segment_pages = 0; // pages in one segment file of a relation
    std::uint32_t wal_page_size = 0;
    std::uint32_t wal_segment_size = 0;
    std::uint32_t data_checksum_version = 0;
    std::int32_t wal_level = 0;

    bool is_running() const noexcept { return state != 1 && state != 2; }
};

// The checkpoint that marks the pg_control of an interrupted or not yet started restore: no WAL has
// it, so a server without backup_label refuses to start, and archive-get refuses to serve it.
inline constexpr Lsn kPoisonCheckpoint{0xDEAD};

// Takes the 8192 bytes (or at least the struct). Throws Error(version_not_supported) for a version
// we do not know, Error(checksum) when the CRC is wrong at the place where that version has it,
// Error(format) when there are too few bytes or a size is none a server can have. `major_override`
// (pg-version-force) chooses the layout instead of the version numbers; 0 for none.
ControlFile parse_control_file(ByteView bytes, unsigned major_override = 0);

// A copy whose checkpoint is the poison value and whose CRC is right.
Buffer poison_control_file(ByteView bytes, unsigned major_override = 0);

struct ControlFileCopy {
    ControlFile control;
    Buffer bytes; // kControlFileSize, one read whose CRC was right
};

// Reads data_directory/global/pg_control; a wrong CRC is read again up to ten times, 10 ms apart,
// since the server rewrites the file in place. Throws Error(file_missing) with a hint when it is
// not there.
ControlFileCopy read_control_file(const std::string& data_directory, unsigned major_override = 0);

// The same over bytes from elsewhere: `read_once` gives all the file holds, anew at each call.
ControlFileCopy read_control_file(const std::function<Buffer()>& read_once,
                                  const Clock& clock,
                                  unsigned major_override = 0);

} // namespace pgstrata::postgres
