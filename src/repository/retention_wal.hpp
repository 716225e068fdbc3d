// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "repository/retention_rules.hpp"

namespace pgstrata::repository {

// What is known of the backups when it is decided about WAL.
struct RemainingBackups {
    const RetentionGraph& graph;
    const Verdicts& verdicts;
    const Flags& kept;
};

std::vector<ArchivePlan> plan_archives(const RemainingBackups& backups,
                                       const RetentionPolicy& policy,
                                       UnixSeconds now,
                                       const RetentionRequest& request);

} // namespace pgstrata::repository
