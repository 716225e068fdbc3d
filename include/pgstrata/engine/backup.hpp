// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/progress.hpp"
#include "pgstrata/postgres/session.hpp"
#include "pgstrata/repository/catalog.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// How changed pages are found.
enum class ChangeTracking : std::uint8_t {
    automatic, // WAL summaries where the server has them
    summary,   // the same, with a WARN where it has not
    scan,      // every file that was touched is read
};

struct BackupOptions {
    std::string stanza;
    std::string data_directory;
    repository::BackupType type = repository::BackupType::full;
    bool is_delta = false; // sizes and times of files count for nothing
    ChangeTracking change_tracking = ChangeTracking::automatic;
    bool can_resume = true;  // go on with a backup that died
    unsigned repo_index = 1; // for messages
    bool start_fast = false;
    bool check_archive = true; // wait for the WAL that makes the backup consistent
    bool copy_archive = false; // and put it into the backup's pg_wal too
    std::uint64_t archive_timeout_milliseconds = 60000;
    std::string spool_path; // where archive-push may have left word of what it cannot do; or empty
    std::string lock_path;  // where a stop file may keep it from running; or empty
    std::optional<bool> check_pages; // unset: as the cluster has checksums
    bool check_page_headers = true;
    std::vector<std::string> exclude;
    std::map<std::string, std::string> annotations;
    std::string schedule;              // that it is made by
    std::uint64_t retain = 0;          // seconds from its stop for which it lives, 0: by the rules
    std::optional<int> compress_level; // unset: no compression
    std::uint64_t pack_size = std::uint64_t{256} << 20U;
    std::size_t workers = 1;
    unsigned pg_version_force = 0;
    std::uint64_t lock_wait_milliseconds = 0; // for another host's backup to end
    bool is_forced = false;                   // offline backup of a cluster that seems to run
};

// Sessions with the servers of the cluster; they outlive the backup.
struct BackupServers {
    // NOLINTNEXTLINE(google-explicit-constructor): most clusters have one server
    BackupServers(postgres::Session* server) : source(server), primary(server) {}
    BackupServers(postgres::Session* standby, postgres::Session* its_primary)
        : source(standby), primary(its_primary)
    {
    }
    postgres::Session* source;  // whose data directory is copied; null when it is stopped
    postgres::Session* primary; // null when the source is a standby and its primary cannot be asked
};

// Takes a backup: of a running server through its session, or of a stopped one without. A
// diff or incr without a backup to build on becomes a full, with a WARN. The backup exists when
// this returns; when it throws, nothing of it is listed, the server has left backup mode, and what
// was made durable is kept for a later try if that may resume.
repository::BackupSummary make_backup(const BackupOptions& options,
                                      const repository::Repository& repository,
                                      const BackupServers& servers,
                                      const Progress::Report& report);

} // namespace pgstrata::engine
