// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "repository/retention_graph.hpp"

namespace pgstrata::repository {

// What the rules say of one backup, for itself alone.
struct Verdict {
    bool is_kept = true;
    bool is_counted = false; // by the classic rules
    std::string reason;      // of its removal
};

struct Verdicts {
    std::vector<Verdict> of; // each backup
    // With fulls kept by days: there is one that is older than those.
    bool is_time_met = false;
    // The backup that the time for which any moment can be restored begins with; nothing when there
    // is no such rule, or no online backup.
    std::optional<std::size_t> window;
};

Verdicts judge(const RetentionGraph& graph, const RetentionPolicy& policy, UnixSeconds now);
// When no rule is asked: all are kept.
Verdicts keep_all(const RetentionGraph& graph, const RetentionPolicy& policy, UnixSeconds now);

} // namespace pgstrata::repository
