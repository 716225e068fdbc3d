// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/postgres/wal_summary.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pgstrata::engine {

struct WalChangesRequest {
    std::string data_directory;
    postgres::Timeline prior_timeline = 0; // of the backup to build on
    postgres::Lsn prior_start;
    postgres::Lsn prior_stop;
    postgres::Timeline timeline = 0; // of the backup that has just been started
    postgres::Lsn start;
    std::uint64_t timeout_milliseconds = 60000; // without progress of the server's summarizer
};

// Either what changed, or why that cannot be known.
struct WalChanges {
    std::optional<postgres::ChangedBlocks> blocks;
    std::string reason;    // a sentence for the log, lower case without a full stop
    std::size_t files = 0; // summaries read
};

// What the WAL between the starts of two backups changed, as the server's WAL summaries tell. Call
// it after the new backup was started: waits until the summaries reach there. What the server or
// its files lack is an answer; throws only for Error(terminated) and a lost connection,
// Error(db_connect).
WalChanges read_wal_changes(const WalChangesRequest& request, postgres::Session& session);

} // namespace pgstrata::engine
