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

struct BackupOptions {
    std::string stanza;
    std::string data_directory;
    unsigned repo_index = 1; // for messages
    bool start_fast = false;
    bool check_archive = true; // wait for the WAL that makes the backup consistent
    bool copy_archive = false; // and put it into the backup's pg_wal too
    std::uint64_t archive_timeout_milliseconds = 60000;
    std::optional<bool> check_pages; // unset: as the cluster has checksums
    bool check_page_headers = true;
    std::vector<std::string> exclude;
    std::map<std::string, std::string> annotations;
    std::optional<int> compress_level; // unset: no compression
    std::uint64_t pack_size = std::uint64_t{256} << 20U;
    std::size_t workers = 1;
    unsigned pg_version_force = 0;
    bool is_forced = false; // offline backup of a cluster that seems to run
};

// Takes a full backup: of a running server through `session`, or of a stopped one when it is null.
// The backup exists when this returns; when it throws, nothing of it is listed and the server has
// left backup mode.
repository::BackupSummary make_backup(const BackupOptions& options,
                                      const repository::Repository& repository,
                                      postgres::Session* session,
                                      const Progress::Report& report);

} // namespace pgstrata::engine
