// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace pgstrata::postgres {

// One line of a NNNNNNNN.history file: `timeline` was left for its child at `switch_point`.
struct TimelineSwitch {
    Timeline timeline = 0;
    Lsn switch_point;
};

// The ancestors of a timeline, oldest first; empty for timeline 1.
using TimelineHistory = std::vector<TimelineSwitch>;

// `text` is the content of the history file of `timeline`. Throws Error(format) for lines that are
// neither blank, comment nor entry, and for timelines that do not increase or are not below
// `timeline`.
TimelineHistory parse_timeline_history(std::string_view text, Timeline timeline);

// Whether a backup that ended on `timeline` at `stop` can be replayed along a history to its
// timeline.
bool is_reachable(const TimelineHistory& history,
                  Timeline target,
                  Timeline timeline,
                  Lsn stop) noexcept;

} // namespace pgstrata::postgres
