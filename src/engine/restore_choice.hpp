// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore.hpp"
#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/repository/recovery_plan.hpp"

#include <vector>

namespace pgstrata::engine {

struct ChosenBackup {
    const repository::Repository* repository = nullptr;
    unsigned repo_index = 1;
    repository::BackupSummary summary;
    repository::Cluster cluster;    // that the backup is of
    std::vector<WalPlace> archives; // of that cluster, in all sources, the backup's first
    repository::TimelineTree tree;  // of all of them
};

// The backup that the options ask for, of the first source that has one; sources that cannot be
// read are passed over with a WARN when there are several. Throws Error(backup_set_invalid) when no
// backup fits, Error(db_mismatch) when it is the timeline that cannot be reached.
ChosenBackup choose_restored_backup(const RestoreOptions& options,
                                    const std::vector<RestoreSource>& sources);

} // namespace pgstrata::engine
