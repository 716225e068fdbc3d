// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/repositories.hpp"
#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/archive_push.hpp"
#include "pgstrata/engine/archive_push_async.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The parts of archive-push.
namespace pgstrata::command {

bool is_same_directory(const std::string& left, const std::string& right);
// The file that PostgreSQL named. Throws Error(db_mismatch) for a relative path from anywhere but
// the data directory.
std::string wal_path(const config::Config& config);
// Without the path of a file.
engine::PushOptions push_options(const config::Config& config);
// archive-push-queue-max
std::optional<std::uint64_t> queue_limit(const config::Config& config);

// Whether PostgreSQL has marked the file as one to archive.
bool is_ready(const std::string& path);

struct PushTargets {
    std::vector<OpenedRepository> repositories;
    std::vector<engine::PushTarget> targets; // none for those that failed
    std::string failures;                    // of the others; see try_repositories()
};
PushTargets open_push_targets(const config::Config& config);
// Makes failures of the targets, at least one, that are not of the cluster in pg1-path. Throws
// Error(archive_mismatch) when none is left, or without pg1-path when they are of different ones.
void exclude_other_clusters(const config::Config& config, PushTargets& opened);
// Throws Error(command) unless every repository has the file.
void push_file(const engine::PushOptions& options, const PushTargets& opened);

// Records in every repository that can be reached that these WAL files are not going to be
// archived; with a spool the records that are left to make are kept there.
void drop_wal(const config::Config& config,
              const engine::Spool* spool,
              const std::vector<std::string>& names);
// Makes the records that an earlier drop_wal() could not make.
void record_gaps(const config::Config& config,
                 const engine::Spool& spool,
                 const PushTargets& opened);

// archive-async: waits until the process in the background has stored the file, and starts it where
// it has to. False when that process would never look at it: the path is not that of a file that
// PostgreSQL wants archived.
bool push_through_spool(const config::Config& config, const std::string& path);
// The process in the background.
int push_in_background(const config::Config& config);

} // namespace pgstrata::command
