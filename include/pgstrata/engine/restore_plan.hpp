// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/place.hpp"
#include "pgstrata/engine/restore.hpp"
#include "pgstrata/engine/restore_survey.hpp"
#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/util/error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// How the restored cluster recovers, and what is known of how far it can.
struct RecoveryPlan {
    RecoverySettings settings;                  // as they are written
    std::optional<postgres::Timeline> timeline; // unset: there is no recovery, or it is not ours
    std::optional<WalWindow> window;            // where there is a timeline
    bool has_backup_wal = false;                // all that makes the backup consistent
    std::optional<NewestTransactionEnd> newest_commit; // where it was looked for
};

// All decisions of one restore. It changes nothing to make one.
struct RestorePlan {
    const repository::Repository* repository = nullptr; // one of the sources'
    unsigned repo_index = 1;
    // Of an offline backup with the positions in the WAL that its pg_control tells.
    repository::BackupSummary backup;
    repository::Cluster cluster; // that the backup is of
    repository::Manifest manifest;
    Buffer control_bytes;                // pg_control as it will be
    std::optional<RestoreLayout> layout; // always there in a plan that was returned
    RecoveryPlan recovery;
    Reuse reuse = Reuse::nothing;
    std::vector<std::string> kept;      // files at the top of the data directory that stay
    std::optional<TargetSurvey> survey; // unset where the target cannot be used
    // Why the restore cannot be carried out, in the order in which it would find out.
    std::vector<Error> problems;
};

// What to do about a problem that does not keep the rest from being planned.
enum class OnProblem : std::uint8_t { fail, go_on };

// Chooses the backup, decides where everything goes and how it recovers, and checks all that can be
// checked. Throws Error(backup_set_invalid) when no backup fits, Error(file_write) when the files
// certainly do not fit into the target (is_forced makes it a WARN), and what makes a plan
// impossible; with OnProblem::fail anything else too, so the plan has no problems.
RestorePlan plan_restore(const RestoreOptions& options,
                         const std::vector<RestoreSource>& sources,
                         OnProblem on_problem);

// Carries out a plan without problems; pg_control comes last, when all the rest is durable.
RestoreReport
carry_out(const RestoreOptions& options, const RestorePlan& plan, const Progress::Report& report);

} // namespace pgstrata::engine
