// SPDX-License-Identifier: PostgreSQL
#include "repository/retention_rules.hpp"

#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace pgstrata::repository {

namespace {

enum class Kind : std::uint8_t { pinned, life, schedule, other };

Kind kind_of(const RetentionPolicy& policy, const BackupSummary& backup)
{
    if (backup.is_pinned) {
        return Kind::pinned;
    }
    if (backup.retain != 0) {
        return Kind::life;
    }
    return policy.schedules.contains(backup.schedule) ? Kind::schedule : Kind::other;
}

std::uint64_t life_of(const RetentionPolicy& policy, const BackupSummary& backup)
{
    return backup.retain != 0 ? backup.retain : policy.schedules.at(backup.schedule);
}

UnixSeconds end_of_life(const RetentionPolicy& policy, const BackupSummary& backup)
{
    constexpr UnixSeconds kNever = std::numeric_limits<UnixSeconds>::max();
    const std::uint64_t life = life_of(policy, backup);
    const auto left =
        static_cast<std::uint64_t>(kNever - std::max<UnixSeconds>(backup.stop_time, 0));
    return life > left ? kNever : backup.stop_time + static_cast<UnixSeconds>(life);
}

UnixSeconds before(UnixSeconds now, std::uint64_t seconds)
{
    return seconds > static_cast<std::uint64_t>(now) ? 0 : now - static_cast<UnixSeconds>(seconds);
}

bool is_manual(const RetentionPolicy& policy, const BackupSummary& backup)
{
    return policy.manual && backup.schedule.empty();
}

// The rules of pgBackRest over the backups that nothing else is said of.
class ClassicRules {
public:
    ClassicRules(const RetentionGraph& graph,
                 const RetentionPolicy& policy,
                 const std::vector<std::size_t>& backups,
                 UnixSeconds now)
        : graph_(graph), policy_(policy), backups_(backups), removed_(graph.size()),
          by_diff_(graph.size())
    {
        if (policy.full) {
            remove_fulls(now);
        }
        if (policy.diff) {
            remove_diffs(*policy.diff);
        }
    }

    bool is_time_met() const noexcept { return is_time_met_; }
    bool is_removed(std::size_t i) const { return removed_[i]; }
    std::string reason(std::size_t i) const
    {
        if (by_diff_[i]) {
            return "diff";
        }
        return policy_.full_type == FullRetention::days ? "time-based full" : "full";
    }

private:
    void remove_fulls(UnixSeconds now)
    {
        std::vector<std::size_t> fulls;
        std::ranges::copy_if(backups_, std::back_inserter(fulls), [&](std::size_t i) {
            return graph_[i].type == BackupType::full;
        });
        fulls.resize(policy_.full_type == FullRetention::days ? count_outdated(fulls, now)
                                                              : count_surplus(fulls.size()));
        Flags gone(graph_.size());
        for (const std::size_t i : fulls) {
            gone[i] = true;
        }
        for (const std::size_t i : backups_) {
            const auto full = graph_.find(graph_.family(i));
            removed_[i] = full && gone[*full];
        }
    }

    std::size_t count_surplus(std::size_t fulls) const
    {
        return fulls - std::min<std::uint64_t>(fulls, *policy_.full);
    }

    std::size_t count_outdated(const std::vector<std::size_t>& fulls, UnixSeconds now)
    {
        const UnixSeconds begin = before(now, *policy_.full * std::uint64_t{kSecondsPerDay});
        const auto last = std::find_if(fulls.rbegin(), fulls.rend(), [&](std::size_t i) {
            return graph_[i].stop_time < begin;
        });
        is_time_met_ = last != fulls.rend();
        return is_time_met_ ? static_cast<std::size_t>(fulls.rend() - last) - 1 : 0;
    }

    void remove_diffs(std::uint64_t count)
    {
        std::vector<std::size_t> counted;
        std::ranges::copy_if(backups_, std::back_inserter(counted), [&](std::size_t i) {
            return graph_[i].type != BackupType::incr && !removed_[i];
        });
        counted.resize(counted.size() - std::min<std::uint64_t>(counted.size(), count));
        Flags gone(graph_.size());
        for (const std::size_t i : counted) {
            gone[i] = graph_[i].type == BackupType::diff;
        }
        graph_.add_dependents(gone);
        for (const std::size_t i : backups_) {
            by_diff_[i] = gone[i] && !removed_[i];
            removed_[i] = removed_[i] || gone[i];
        }
    }

    const RetentionGraph& graph_;
    const RetentionPolicy& policy_;
    const std::vector<std::size_t>& backups_;
    Flags removed_;
    Flags by_diff_;
    bool is_time_met_ = false;
};

// Which hour, day... a moment lies in; two moments in the same one have the same number.
using Period = std::int64_t (*)(UnixSeconds);

std::int64_t hour_of(UnixSeconds time)
{
    return time / 3600;
}

std::int64_t day_of(UnixSeconds time)
{
    return time / kSecondsPerDay;
}

// The epoch was a Thursday, and weeks begin with Monday.
std::int64_t week_of(UnixSeconds time)
{
    return (day_of(time) + 3) / 7;
}

std::chrono::year_month_day date_of(UnixSeconds time)
{
    return std::chrono::sys_days(std::chrono::days(day_of(time)));
}

std::int64_t year_of(UnixSeconds time)
{
    return static_cast<int>(date_of(time).year());
}

std::int64_t month_of(UnixSeconds time)
{
    return 12 * year_of(time) + static_cast<unsigned>(date_of(time).month());
}

// `newest_first` are sorted by their stop.
void keep_newest_of(const RetentionGraph& graph,
                    const std::vector<std::size_t>& newest_first,
                    Period period,
                    std::uint64_t count,
                    Flags& kept)
{
    std::optional<std::int64_t> last;
    for (const std::size_t i : newest_first) {
        const std::int64_t number = period(graph[i].stop_time);
        if (number == last) {
            continue;
        }
        if (count-- == 0) {
            return;
        }
        last = number;
        kept[i] = true;
    }
}

std::vector<std::size_t> sort_newest_first(const RetentionGraph& graph,
                                           std::vector<std::size_t> backups)
{
    std::ranges::sort(backups, [&](std::size_t a, std::size_t b) {
        return std::pair(graph[a].stop_time, a) > std::pair(graph[b].stop_time, b);
    });
    return backups;
}

Flags keep_by_periods(const RetentionGraph& graph,
                      const KeepCounts& counts,
                      const std::vector<std::size_t>& newest_first)
{
    Flags kept(graph.size());
    keep_newest_of(graph, newest_first, hour_of, counts.hourly, kept);
    keep_newest_of(graph, newest_first, day_of, counts.daily, kept);
    keep_newest_of(graph, newest_first, week_of, counts.weekly, kept);
    keep_newest_of(graph, newest_first, month_of, counts.monthly, kept);
    keep_newest_of(graph, newest_first, year_of, counts.yearly, kept);
    return kept;
}

Flags keep_manual(const RetentionGraph& graph,
                  const RetentionPolicy& policy,
                  const std::vector<std::size_t>& newest_first)
{
    Flags kept(graph.size());
    std::uint64_t left = policy.manual.value_or(0);
    for (const std::size_t i : newest_first) {
        if (left != 0 && is_manual(policy, graph[i])) {
            kept[i] = true;
            --left;
        }
    }
    return kept;
}

// All rules for the backups that have neither a pin nor a life.
class OtherRules {
public:
    OtherRules(const RetentionGraph& graph,
               const RetentionPolicy& policy,
               const std::vector<std::size_t>& backups,
               UnixSeconds now)
        : graph_(graph), policy_(policy), classic_(graph, policy, backups, now),
          by_period_(graph.size()), manual_(graph.size())
    {
        const auto newest_first = sort_newest_first(graph, backups);
        if (policy.keep) {
            by_period_ = keep_by_periods(graph, *policy.keep, newest_first);
        }
        manual_ = keep_manual(graph, policy, newest_first);
    }

    bool is_time_met() const noexcept { return classic_.is_time_met(); }

    // `full` is the verdict about the full at the root, if that is not of these.
    Verdict judge(std::size_t i, const Verdict* full) const
    {
        const bool is_by_hand = is_manual(policy_, graph_[i]);
        const bool has_other_rule = policy_.keep || is_by_hand;
        Verdict verdict{false, true, {}};
        if (!has_other_rule || policy_.full) {
            // A diff or incr has no time of its own: it goes with its full.
            verdict.is_kept = !classic_.is_removed(i) && (full == nullptr || full->is_kept);
            verdict.reason =
                classic_.is_removed(i) || full == nullptr ? classic_.reason(i) : full->reason;
        }
        if (has_other_rule) {
            verdict.is_kept = verdict.is_kept || by_period_[i] || manual_[i];
            verdict.reason = policy_.keep ? "keep" : "manual";
        }
        return verdict;
    }

private:
    const RetentionGraph& graph_;
    const RetentionPolicy& policy_;
    ClassicRules classic_;
    Flags by_period_;
    Flags manual_;
};

// The newest online backup that had ended when the time began; the oldest when none had.
std::optional<std::size_t>
find_window(const RetentionGraph& graph, const RetentionPolicy& policy, UnixSeconds now)
{
    if (!policy.pitr) {
        return std::nullopt;
    }
    const UnixSeconds begin = before(now, *policy.pitr);
    const auto stop = [&](std::size_t i) { return graph[i].stop_time; };
    std::optional<std::size_t> oldest;
    std::optional<std::size_t> last_before;
    for (std::size_t i = 0; i < graph.size(); ++i) {
        if (!graph.can_be_restored(i) || !graph[i].is_online) {
            continue;
        }
        if (!oldest || stop(i) < stop(*oldest)) {
            oldest = i;
        }
        if (stop(i) <= begin && (!last_before || stop(i) >= stop(*last_before))) {
            last_before = i;
        }
    }
    return last_before ? last_before : oldest;
}

std::vector<std::size_t> others_of(const RetentionGraph& graph, const RetentionPolicy& policy)
{
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < graph.size(); ++i) {
        if (kind_of(policy, graph[i]) == Kind::other && graph.can_be_restored(i)) {
            others.push_back(i);
        }
    }
    return others;
}

// Of backups that cannot be restored, and of what builds on them, which may be another matter: what
// they hold may still be of use as long as nothing newer has become old.
void judge_flawed(const RetentionGraph& graph,
                  const RetentionPolicy& policy,
                  const std::vector<std::size_t>& others,
                  std::vector<Verdict>& verdicts)
{
    const auto is_concerned = [&](std::size_t i) {
        return kind_of(policy, graph[i]) == Kind::other && !graph.is_broken(i);
    };
    const auto goes_after = [&](std::size_t full) {
        return std::ranges::any_of(others, [&](std::size_t i) {
            return graph[i].type == BackupType::full && graph.time(i) > graph.time(full) &&
                   !verdicts[i].is_kept;
        });
    };
    for (std::size_t i = 0; i < graph.size(); ++i) {
        const auto full = graph.find(graph.family(i));
        const bool is_of_flawed = full && graph.is_flawed(*full);
        if (!is_concerned(i) || (!graph.is_flawed(i) && !is_of_flawed)) {
            continue;
        }
        const bool is_full_gone =
            full && (is_of_flawed ? goes_after(*full) : !verdicts[*full].is_kept);
        const bool is_kept = !is_full_gone && (graph.is_flawed(i) || verdicts[i].is_kept);
        verdicts[i] = {is_kept, verdicts[i].is_counted, "damaged"};
    }
}

Verdict judge_life(const RetentionPolicy& policy, const BackupSummary& backup, UnixSeconds now)
{
    const RetentionClass found = classify_retention(policy, backup);
    return {!found.expires || now < *found.expires, false, found.name};
}

} // namespace

RetentionClass classify_retention(const RetentionPolicy& policy, const BackupSummary& summary)
{
    switch (kind_of(policy, summary)) {
    case Kind::pinned:
        return {"pinned", std::nullopt};
    case Kind::life:
        return {"life", end_of_life(policy, summary)};
    case Kind::schedule:
        return {"schedule " + summary.schedule, end_of_life(policy, summary)};
    case Kind::other:
        break;
    }
    if (is_manual(policy, summary)) {
        return {"manual", std::nullopt};
    }
    return {policy.keep ? "keep" : "classic", std::nullopt};
}

Verdicts judge(const RetentionGraph& graph, const RetentionPolicy& policy, UnixSeconds now)
{
    Verdicts verdicts = keep_all(graph, policy, now);
    const std::vector<std::size_t> others = others_of(graph, policy);
    const OtherRules rules(graph, policy, others, now);
    verdicts.is_time_met = rules.is_time_met();
    for (std::size_t i = 0; i < graph.size(); ++i) {
        if (kind_of(policy, graph[i]) != Kind::other) {
            verdicts.of[i] = judge_life(policy, graph[i], now);
        }
    }
    for (const std::size_t i : others) {
        const auto full = graph.find(graph.family(i));
        const bool has_life = full && kind_of(policy, graph[*full]) != Kind::other;
        verdicts.of[i] = rules.judge(i, has_life ? &verdicts.of[*full] : nullptr);
    }
    judge_flawed(graph, policy, others, verdicts.of);
    const auto newest = graph.newest();
    for (std::size_t i = 0; i < graph.size(); ++i) {
        if (graph.is_broken(i) && kind_of(policy, graph[i]) == Kind::other) {
            const bool is_newest = !newest || graph.time(i) > graph.time(*newest);
            verdicts.of[i] = {is_newest, false, "broken"};
        }
    }
    return verdicts;
}

Verdicts keep_all(const RetentionGraph& graph, const RetentionPolicy& policy, UnixSeconds now)
{
    Verdicts verdicts;
    verdicts.of.resize(graph.size());
    for (const std::size_t i : others_of(graph, policy)) {
        verdicts.of[i].is_counted = true;
    }
    verdicts.window = find_window(graph, policy, now);
    return verdicts;
}

} // namespace pgstrata::repository
