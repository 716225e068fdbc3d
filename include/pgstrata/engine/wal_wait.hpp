// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/layout.hpp"

#include <cstdint>
#include <string>

namespace pgstrata::engine {

struct WalWait {
    std::string stanza;
    repository::ArchiveId archive_id;
    std::uint32_t wal_segment_size = 0;
    std::uint64_t timeout_milliseconds = 60000; // for each segment
    unsigned repo_index = 1;                    // for messages
    std::string spool_path;                     // where archive-push may have left word; or empty
    std::string lock_path = {};                 // where a stop file may lie; or empty
};

// Waits until every segment from `first` to `last` is in the archive, and gives the object of the
// last. Throws Error(archive_timeout) with the likely cause, asked of `session` where there is one;
// Error(archive_duplicate) when a segment is there twice with different contents.
repository::WalObjectName wait_for_wal(const repository::Repository& repository,
                                       const WalWait& wait,
                                       postgres::WalSegment first,
                                       postgres::WalSegment last,
                                       postgres::Session* session);

// Whether the archive's segment is the one that a primary wrote, as far as its pg_wal still has it:
// another cluster, or this one before its disk went back to a snapshot, may have archived one of
// the same name, and then what was waited for will never come. Throws Error(archive_duplicate).
void check_own_wal(const WalWait& wait,
                   const std::string& data_directory,
                   const repository::WalObjectName& archived);

} // namespace pgstrata::engine
