// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/repositories.hpp"
#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/archive_push.hpp"
#include "pgstrata/engine/archive_push_async.hpp"

#include <cstdint>
#include <functional>
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
PushTargets open_push_targets(const config::Config& config,
                              Patience patience = Patience::configured);
// Makes failures of the targets, at least one, that are not of the cluster in pg1-path. Throws
// Error(archive_mismatch) when none is left, or without pg1-path when they are of different ones.
void exclude_other_clusters(const config::Config& config, PushTargets& opened);
// Why not every repository has the file, in the form of try_repositories().
std::string push_file(const engine::PushOptions& options, const PushTargets& opened);
// Throws Error(command) with those.
void refuse_failures(const std::string& failures);

// {spool-path}/archive/{stanza}/out
engine::Spool push_spool(const config::Config& config);

// WAL that is dropped is not going to be archived. The record of that waits in the spool, so that
// no repository has to answer while PostgreSQL runs out of space, and comes to the repositories
// after a later push.
void leave_gap(const config::Config& config,
               const engine::Spool& spool,
               const std::string& wal_name);
// Brings the records in the spool, if there are any, to the repositories, which are asked for only
// then. A failure is a WARN. Each repository gets at least one of those that it has not, and no
// more than fit into the time, since WAL waits; the others are for the next time.
constexpr std::uint64_t kRecordMilliseconds = 2000;
void record_gaps(const config::Config& config,
                 const engine::Spool& spool,
                 const std::function<const PushTargets&()>& open,
                 std::uint64_t limit = kRecordMilliseconds);
// Leaves the record of one file; where there is no spool to leave it in, straight in the
// repositories that answer soon.
void drop_wal(const config::Config& config, const std::string& wal_name);

// archive-async: waits until the process in the background has stored the file, and starts it where
// it has to. False when that process would never look at it: the path is not that of a file that
// PostgreSQL wants archived.
bool push_through_spool(const config::Config& config, const std::string& path);
// The process in the background.
int push_in_background(const config::Config& config);

} // namespace pgstrata::command
