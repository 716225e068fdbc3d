// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/recovery_plan.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

using postgres::Timeline;

// The summary of an offline backup does not tell where in the WAL it was made.
bool is_end_known(const BackupSummary& backup) noexcept
{
    return backup.stop_lsn != postgres::Lsn{};
}

// Whether recovery from the backup can stop at the target at all.
bool ends_before_target(const BackupSummary& backup, const RecoveryTarget& target)
{
    if (target.type == RecoveryType::time) {
        // A summary holds whole seconds: the end may have been any time within that second.
        return target.time && (backup.stop_time + 1) * kMicrosecondsPerSecond <= *target.time;
    }
    if (target.type == RecoveryType::lsn) {
        return is_end_known(backup) && backup.stop_lsn <= target.lsn;
    }
    return true;
}

// The timeline that recovery must end on to be what was asked for; none when any will do.
std::optional<Timeline> required_timeline(const BackupSummary& backup,
                                          const RecoveryTarget& target,
                                          const TimelineTree& tree)
{
    if (target.follow == RecoveryTarget::Follow::number) {
        return target.timeline;
    }
    if (target.follow == RecoveryTarget::Follow::latest) {
        return std::max(backup.timeline, newest_timeline(tree));
    }
    return std::nullopt;
}

bool fits_timeline(const BackupSummary& backup,
                   const RecoveryTarget& target,
                   const TimelineTree& tree)
{
    const auto required = required_timeline(backup, target, tree);
    return !required || can_reach(backup, *required, tree);
}

} // namespace

Timeline newest_timeline(const TimelineTree& tree)
{
    return tree.empty() ? 1 : tree.rbegin()->first;
}

bool can_reach(const BackupSummary& backup, Timeline timeline, const TimelineTree& tree)
{
    if (backup.timeline == timeline) {
        return true;
    }
    const auto history = tree.find(timeline);
    return history != tree.end() && is_end_known(backup) &&
           postgres::is_reachable(history->second, timeline, backup.timeline, backup.stop_lsn);
}

const BackupSummary* choose_backup(const std::vector<BackupSummary>& backups,
                                   const RecoveryTarget& target,
                                   const TimelineTree& tree)
{
    for (auto backup = backups.rbegin(); backup != backups.rend(); ++backup) {
        if (ends_before_target(*backup, target) && fits_timeline(*backup, target, tree)) {
            return &*backup;
        }
    }
    return nullptr;
}

Timeline
choose_timeline(const BackupSummary& backup, const RecoveryTarget& target, const TimelineTree& tree)
{
    if (const auto required = required_timeline(backup, target, tree)) {
        if (!can_reach(backup, *required, tree)) {
            throw Error(
                ErrorCode::db_mismatch,
                fmt::format(
                    "backup {} on timeline {} ends at {}, from where timeline {} cannot be reached",
                    backup.label,
                    backup.timeline,
                    postgres::to_string(backup.stop_lsn),
                    *required),
                "choose another backup with --set, or another --target-timeline");
        }
        return *required;
    }
    if (target.follow == RecoveryTarget::Follow::current ||
        target.type == RecoveryType::immediate) {
        return backup.timeline;
    }
    Timeline newest = backup.timeline;
    for (const auto& [timeline, history] : tree) {
        if (timeline > newest && can_reach(backup, timeline, tree)) {
            newest = timeline;
        }
    }
    return newest;
}

std::vector<WalStretch> wal_path(const BackupSummary& backup,
                                 Timeline timeline,
                                 const TimelineTree& tree,
                                 std::uint32_t wal_segment_size)
{
    std::vector<WalStretch> path;
    std::uint64_t number =
        postgres::segment_of(backup.timeline, backup.start_lsn, wal_segment_size).number;
    const auto history = tree.find(timeline);
    if (timeline != backup.timeline && history != tree.end()) {
        for (const postgres::TimelineSwitch& step : history->second) {
            if (step.timeline < backup.timeline) {
                continue;
            }
            // The segment with the switch point is in the child's archive under the child's name.
            const auto end =
                postgres::segment_of(step.timeline, step.switch_point, wal_segment_size).number;
            if (end > number) {
                path.push_back({{step.timeline, number}, end - 1});
            }
            number = std::max(number, end);
        }
    }
    path.push_back({{timeline, number}, std::nullopt});
    return path;
}

} // namespace pgstrata::repository
