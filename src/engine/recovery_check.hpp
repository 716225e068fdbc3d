// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_plan.hpp"
#include "pgstrata/repository/recovery_plan.hpp"

#include <vector>

namespace pgstrata::engine {

struct RecoveryInputs {
    const RestoreOptions& options;
    const std::vector<WalPlace>& archives; // that restore_command will ask
    const repository::Cluster& cluster;    // that the backup is of
    const repository::TimelineTree& tree;
    const repository::BackupSummary& backup;
    const repository::Manifest& manifest;
};

// The type that the restore carries out: an offline backup needs no recovery, and gets none that
// nobody asked for.
repository::RecoveryType recovery_type(const RestoreOptions& options,
                                       const repository::BackupSummary& backup);

// The settings that the restore writes, and what they rest on. Everything that would make recovery
// fail later is said now, before the target is touched: throws Error(db_mismatch) for a timeline
// and Error(backup_set_invalid) for a target that cannot be reached, Error(file_missing) when the
// archive lacks the backup's own WAL, Error(option_invalid) for a recovery option that servers
// refuse. What was found before that is in `plan`.
void plan_recovery(const RecoveryInputs& inputs, RecoveryPlan& plan);

// Looks for the last commit that the archive has for the plan, as far back as a restore would.
NewestTransactionEnd find_newest_commit(const RecoveryInputs& inputs, const WalWindow& window);

} // namespace pgstrata::engine
