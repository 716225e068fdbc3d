// SPDX-License-Identifier: PostgreSQL
#include "repository/retention_wal.hpp"

#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

using postgres::kSegmentDigits;
using postgres::kTimelineDigits;

bool is_segment(std::string_view name)
{
    return name.size() == kSegmentDigits && is_upper_hex(name);
}

bool says_its_wal(const BackupSummary& backup)
{
    return is_segment(backup.start_wal) && is_segment(backup.stop_wal);
}

std::string end_of_timeline(std::string_view segment)
{
    return std::string(segment.substr(0, kTimelineDigits)) +
           std::string(kSegmentDigits - kTimelineDigits, 'F');
}

class WalPlanner {
public:
    WalPlanner(const RemainingBackups& backups,
               const RetentionPolicy& policy,
               UnixSeconds now,
               const RetentionRequest& request)
        : backups_(backups), graph_(backups.graph), policy_(policy), now_(now), request_(request)
    {
        find_continuous();
    }

    ArchivePlan plan(ArchiveId id, bool is_current) const
    {
        ArchivePlan plan;
        plan.id = id;
        plan.hold = hold_;
        const bool is_limited = !request_.archive_before.empty();
        if (plan.hold == WalHold::none && is_limited && !is_current) {
            plan.hold = WalHold::not_limited;
        }
        if (plan.hold != WalHold::none) {
            return plan;
        }
        plan.limit = request_.archive_before;
        if (policy_.pitr) {
            plan.stored_since = now_ - std::min(now_, static_cast<UnixSeconds>(*policy_.pitr));
        }
        const std::vector<std::size_t> here = kept_in(id);
        if (here.empty()) {
            plan_without_backups(plan, is_current);
        } else {
            plan_from(plan, here);
        }
        return plan;
    }

private:
    bool has_own_rule() const
    {
        return policy_.keep || policy_.manual || !policy_.schedules.empty();
    }

    bool is_of_archive_type(std::size_t i) const
    {
        return policy_.archive_type == BackupType::incr || graph_[i].type == BackupType::full ||
               graph_[i].type == policy_.archive_type;
    }

    bool is_counted(std::size_t i) const
    {
        return backups_.verdicts.of[i].is_counted && backups_.verdicts.of[i].is_kept &&
               is_of_archive_type(i);
    }

    // For how many of the newest backups WAL is kept without gaps.
    std::optional<std::uint64_t> continuous_backups()
    {
        const bool is_by_days = policy_.full && policy_.full_type == FullRetention::days &&
                                policy_.archive_type == BackupType::full;
        if (policy_.archive || !is_by_days) {
            return policy_.archive;
        }
        is_time_missed_ = !backups_.verdicts.is_time_met;
        return is_time_missed_ ? std::nullopt : std::optional<std::uint64_t>(1U << 30U);
    }

    void find_continuous()
    {
        const auto count = continuous_backups();
        std::vector<std::size_t> counted;
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            if (is_counted(i)) {
                counted.push_back(i);
            }
        }
        const bool is_limited = !request_.archive_before.empty();
        const bool has_window = policy_.pitr.has_value();
        // What no backup that is kept needs may go whenever somebody says so.
        const bool may_go_before_oldest = has_own_rule() || is_limited;
        if (count && (!policy_.archive || counted.size() >= *count)) {
            const std::size_t surplus =
                counted.size() - std::min<std::uint64_t>(counted.size(), *count);
            continuous_.assign(counted.begin() + static_cast<std::ptrdiff_t>(surplus),
                               counted.end());
        } else if (may_go_before_oldest && (count || !has_window)) {
            is_all_continuous_ = true;
        } else if (count) {
            hold_ = WalHold::too_few;
        } else if (!has_window) {
            hold_ = is_time_missed_ ? WalHold::time_not_met : WalHold::not_set;
        }
        if (has_window && !backups_.verdicts.window) {
            hold_ = WalHold::no_window;
        }
        // With no backup at all nothing says what the first one will need.
        if (hold_ == WalHold::none && !is_limited &&
            std::ranges::find(backups_.kept, true) == backups_.kept.end()) {
            hold_ = WalHold::too_few;
        }
    }

    std::vector<std::size_t> kept_in(ArchiveId id) const
    {
        std::vector<std::size_t> here;
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            if (backups_.kept[i] && graph_[i].archive_id == id) {
                here.push_back(i);
            }
        }
        return here;
    }

    void plan_without_backups(ArchivePlan& plan, bool is_current) const
    {
        const auto window = backups_.verdicts.window;
        if (!graph_.catalog().unreadable.empty()) {
            plan.hold = WalHold::unreadable;
        } else if (window && plan.id.number > graph_[*window].archive_id.number) {
            plan.hold = WalHold::no_window;
        } else if (!is_current) {
            plan.is_dropped = true;
        } else if (plan.limit.empty()) {
            plan.hold = WalHold::too_few;
        } else if (!graph_.catalog().in_progress.empty()) {
            plan.hold = WalHold::in_progress;
        } else {
            plan.keep_from = plan.limit;
        }
    }

    // The backup from which on all WAL of its generation stays.
    std::optional<std::size_t> first_continuous(ArchiveId id,
                                                const std::vector<std::size_t>& here) const
    {
        if (is_all_continuous_) {
            return here.front();
        }
        std::optional<std::size_t> first;
        const auto found = std::ranges::find_if(
            continuous_, [&](std::size_t i) { return graph_[i].archive_id == id; });
        if (found != continuous_.end()) {
            first = *found;
        }
        const auto window = backups_.verdicts.window;
        if (window && graph_[*window].archive_id == id) {
            first = std::min(first.value_or(*window), *window);
        }
        return first ? first : std::optional(newest_of_archive_type(here));
    }

    // Of those that can be restored; with none of them all WAL may be of use.
    std::size_t newest_of_archive_type(const std::vector<std::size_t>& here) const
    {
        std::vector<std::size_t> sound;
        std::ranges::copy_if(here, std::back_inserter(sound), [&](std::size_t i) {
            return graph_.can_be_restored(i);
        });
        if (sound.empty()) {
            return here.front();
        }
        const auto newest = std::find_if(
            sound.rbegin(), sound.rend(), [&](std::size_t i) { return is_of_archive_type(i); });
        return newest != sound.rend() ? *newest : sound.back();
    }

    void plan_from(ArchivePlan& plan, const std::vector<std::size_t>& here) const
    {
        const auto window = backups_.verdicts.window;
        if (window && plan.id.number > graph_[*window].archive_id.number) {
            plan.hold = WalHold::no_window;
            return;
        }
        const std::size_t first = *first_continuous(plan.id, here);
        const auto has_start = [&](std::size_t i) {
            return says_its_wal(graph_[i]) || (i != first && !graph_[i].is_online);
        };
        if (!std::ranges::all_of(here, has_start)) {
            plan.hold = WalHold::no_start;
            return;
        }
        plan.keep_from = graph_[first].start_wal;
        keep_for_unreadable(plan);
        for (const std::size_t i : here) {
            keep_for(plan, i, i < first);
        }
        std::ranges::sort(plan.kept, {}, &WalRange::first);
        spare_cut_stretch(plan);
        std::ranges::sort(plan.timelines);
    }

    void keep_for(ArchivePlan& plan, std::size_t i, bool is_before) const
    {
        const BackupSummary& backup = graph_[i];
        plan.timelines.push_back(backup.timeline);
        if (backup.start_wal.empty() || backup.start_wal >= plan.keep_from) {
            return;
        }
        // A later backup of an earlier timeline: two servers archive here.
        plan.kept.push_back(
            {backup.start_wal, is_before ? backup.stop_wal : end_of_timeline(backup.start_wal)});
    }

    // WAL between two backups goes whole or not at all: the rest of it would be of no use, and what
    // is missing would look as if it was lost.
    static void spare_cut_stretch(ArchivePlan& plan)
    {
        if (plan.limit.empty() || plan.limit >= plan.keep_from) {
            return;
        }
        const WalRange* before = nullptr;
        for (const WalRange& kept : plan.kept) {
            if (kept.first <= plan.limit && plan.limit <= kept.last) {
                return;
            }
            if (kept.last < plan.limit) {
                before = &kept;
            }
        }
        if (before != nullptr) {
            plan.limit = before->last;
        }
    }

    // It began after the backup that was made before it, of whatever family.
    void keep_for_unreadable(ArchivePlan& plan) const
    {
        for (const std::string& label : graph_.catalog().unreadable) {
            const auto last = newest_before(parse_backup_label(label)->time, plan.id);
            if (!last || !says_its_wal(graph_[*last])) {
                plan.hold = WalHold::unreadable;
                return;
            }
            plan.keep_from = std::min(plan.keep_from, graph_[*last].start_wal);
        }
    }

    std::optional<std::size_t> newest_before(UnixSeconds time, ArchiveId id) const
    {
        std::optional<std::size_t> newest;
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            const bool is_before = graph_[i].archive_id == id && graph_.time(i) < time;
            if (is_before && (!newest || graph_.time(i) > graph_.time(*newest))) {
                newest = i;
            }
        }
        return newest;
    }

    const RemainingBackups& backups_;
    const RetentionGraph& graph_;
    const RetentionPolicy& policy_;
    UnixSeconds now_;
    const RetentionRequest& request_;
    WalHold hold_ = WalHold::none;
    bool is_time_missed_ = false;
    bool is_all_continuous_ = false;
    std::vector<std::size_t> continuous_; // ascending
};

} // namespace

bool is_kept(const ArchivePlan& plan, std::string_view segment)
{
    return is_any_kept(plan, segment, segment);
}

bool is_any_kept(const ArchivePlan& plan, std::string_view first, std::string_view last)
{
    if (plan.hold != WalHold::none) {
        return true;
    }
    if (plan.is_dropped) {
        return false;
    }
    if (last >= plan.keep_from || (!plan.limit.empty() && last >= plan.limit)) {
        return true;
    }
    return std::ranges::any_of(
        plan.kept, [&](const WalRange& kept) { return kept.first <= last && first <= kept.last; });
}

bool is_history_kept(const ArchivePlan& plan, postgres::Timeline timeline)
{
    if (plan.hold != WalHold::none || plan.is_dropped) {
        return !plan.is_dropped;
    }
    const auto name = fmt::format("{:08X}", timeline);
    return name >= plan.keep_from.substr(0, kTimelineDigits) ||
           std::ranges::binary_search(plan.timelines, timeline);
}

std::vector<ArchivePlan> plan_archives(const RemainingBackups& backups,
                                       const RetentionPolicy& policy,
                                       UnixSeconds now,
                                       const RetentionRequest& request)
{
    const WalPlanner planner(backups, policy, now, request);
    std::vector<ArchivePlan> plans;
    const std::vector<ArchiveId>& ids = backups.graph.catalog().archives;
    plans.reserve(ids.size());
    for (const ArchiveId id : ids) {
        plans.push_back(planner.plan(id, id == ids.back()));
    }
    return plans;
}

} // namespace pgstrata::repository
