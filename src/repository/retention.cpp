// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/retention.hpp"

#include "repository/retention_wal.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <map>

namespace pgstrata::repository {

namespace {

class RetentionRun {
public:
    RetentionRun(const RetentionCatalog& catalog,
                 RetentionPolicy policy,
                 UnixSeconds now,
                 const RetentionRequest& request)
        : catalog_(catalog), graph_(catalog), policy_(std::move(policy)), now_(now),
          request_(request), kept_(graph_.size())
    {
    }

    RetentionPlan run()
    {
        if (request_.is_oldest) {
            shorten_by_one();
        }
        if (request_.set.empty()) {
            apply_rules();
        } else {
            remove_set();
        }
        warn_of_broken();
        collect_removals();
        plan_.archives = plan_archives({graph_, verdicts_, kept_}, policy_, now_, request_);
        if (policy_.history) {
            plan_.history_before =
                now_ - std::min(now_, static_cast<UnixSeconds>(*policy_.history) * kSecondsPerDay);
        }
        return std::move(plan_);
    }

private:
    // The oldest full goes, whatever else the rules would keep.
    void shorten_by_one()
    {
        const auto is_counted = [&](const BackupSummary& backup) {
            return backup.type == BackupType::full && !is_flawed(backup) &&
                   !classify_retention(policy_, backup).expires && !backup.is_pinned;
        };
        const auto fulls =
            static_cast<std::uint64_t>(std::ranges::count_if(catalog_.backups, is_counted));
        if (fulls <= 1) {
            plan_.warnings.emplace_back("there is no full backup but the newest, none is expired");
            return;
        }
        policy_.full = fulls - 1;
        policy_.full_type = FullRetention::count;
        policy_.archive = fulls - 1;
        policy_.archive_type = BackupType::full;
        policy_.keep.reset();
        policy_.manual.reset();
    }

    void apply_rules()
    {
        verdicts_ = judge(graph_, policy_, now_);
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            kept_[i] = verdicts_.of[i].is_kept || is_spared(i);
        }
        if (const auto newest = graph_.newest()) {
            kept_[*newest] = true;
        }
        if (verdicts_.window) {
            kept_[*verdicts_.window] = true;
        }
        graph_.add_needed(kept_);
    }

    static bool is_of_family(const std::string& label, const std::string& family)
    {
        return label.starts_with(family);
    }

    bool is_flawed(const BackupSummary& backup) const
    {
        const auto i = graph_.find(backup.label);
        return i && graph_.is_flawed(*i);
    }

    // What a backup that cannot be read, or is in progress, may build on or be built on by.
    bool is_spared(std::size_t i) const
    {
        const std::string& family = graph_.family(i);
        const auto is_here = [&](const std::string& label) { return is_of_family(label, family); };
        return std::ranges::any_of(catalog_.unreadable, is_here) ||
               std::ranges::any_of(catalog_.in_progress, is_here);
    }

    void check_set_is_not_made() const
    {
        const auto& in_progress = catalog_.in_progress;
        if (std::ranges::find(in_progress, request_.set) != in_progress.end()) {
            throw Error(
                ErrorCode::lock_acquire,
                fmt::format("backup '{}' is in progress, maybe on another host", request_.set),
                "wait until it is done; if its host has died, until its lease runs out");
        }
    }

    void remove_set()
    {
        check_set_is_not_made();
        const auto label = parse_backup_label(request_.set);
        verdicts_ = keep_all(graph_, policy_, now_);
        Flags removed(graph_.size());
        const bool is_unreadable =
            std::ranges::find(catalog_.unreadable, request_.set) != catalog_.unreadable.end();
        const auto found = graph_.find(request_.set);
        plan_.has_set = found || is_unreadable;
        if (plan_.has_set) {
            mark_set(found, removed);
            graph_.add_dependents(removed);
            check_set(removed, label ? label->full : request_.set);
            if (is_unreadable) {
                plan_.expired.push_back({"adhoc", {request_.set}});
            }
        }
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            kept_[i] = !removed[i];
            verdicts_.of[i].is_kept = kept_[i];
            verdicts_.of[i].reason = "adhoc";
        }
        verdicts_.window =
            verdicts_.window && removed[*verdicts_.window] ? std::nullopt : verdicts_.window;
    }

    void mark_set(std::optional<std::size_t> found, Flags& removed) const
    {
        if (found) {
            removed[*found] = true;
            return;
        }
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            removed[i] =
                graph_[i].prior == request_.set ||
                std::ranges::find(graph_[i].references, request_.set) != graph_[i].references.end();
        }
    }

    void check_set(const Flags& removed, const std::string& family) const
    {
        check_last_full(family);
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            if (removed[i] && graph_[i].is_pinned) {
                throw Error(ErrorCode::backup_set_invalid,
                            fmt::format("backup '{}' is pinned", graph_[i].label),
                            "annotate --unpin lets it go");
            }
        }
        const auto is_after = [&](const std::string& label) {
            return is_of_family(label, family) && label > request_.set;
        };
        const auto unreadable = std::ranges::find_if(catalog_.unreadable, is_after);
        if (unreadable != catalog_.unreadable.end()) {
            throw Error(ErrorCode::backup_set_invalid,
                        fmt::format("backup '{}' cannot be read, it may build on '{}'",
                                    *unreadable,
                                    request_.set),
                        "remove that one first");
        }
        const auto made = std::ranges::find_if(catalog_.in_progress, is_after);
        if (made != catalog_.in_progress.end()) {
            throw Error(ErrorCode::lock_acquire,
                        fmt::format("backup '{}', which is in progress, may build on '{}'",
                                    *made,
                                    request_.set),
                        "wait until it is done; if its host has died, until its lease runs out");
        }
    }

    // As pgBackRest: there must be a full left that the cluster of today can be restored from.
    void check_last_full(const std::string& family) const
    {
        const BackupSummary* newest = nullptr;
        const BackupSummary* before = nullptr;
        for (const BackupSummary& backup : catalog_.backups) {
            if (backup.type == BackupType::full && !is_flawed(backup)) {
                before = newest;
                newest = &backup;
            }
        }
        const bool is_newest = newest != nullptr && newest->label == request_.set;
        const bool is_only =
            before == nullptr || (newest != nullptr && before->archive_id != newest->archive_id);
        if (family == request_.set && is_newest && is_only) {
            throw Error(ErrorCode::backup_set_invalid,
                        fmt::format("full backup {} cannot be expired until another full backup "
                                    "has been completed on this repo",
                                    request_.set));
        }
    }

    void warn_of_broken()
    {
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            if (graph_.is_broken(i) && kept_[i]) {
                plan_.warnings.push_back(
                    fmt::format("backup {} builds on a backup that is gone, it cannot be restored",
                                graph_[i].label));
            }
        }
    }

    void collect_removals()
    {
        // The set that a removed backup belongs to.
        std::map<std::size_t, std::size_t> set_of;
        for (std::size_t i = 0; i < graph_.size(); ++i) {
            if (kept_[i]) {
                continue;
            }
            const auto prior = graph_.find(graph_[i].prior);
            const auto known = prior ? set_of.find(*prior) : set_of.end();
            const bool is_new = known == set_of.end();
            const std::size_t set = is_new ? plan_.expired.size() : known->second;
            if (is_new) {
                plan_.expired.push_back({verdicts_.of[i].reason, {}});
            }
            set_of.emplace(i, set);
            plan_.expired[set].labels.push_back(graph_[i].label);
        }
        for (const ExpiredSet& set : plan_.expired) {
            plan_.removals.insert(plan_.removals.end(), set.labels.begin(), set.labels.end());
        }
        // By label is by full and then by time: dependents come later.
        std::ranges::sort(plan_.removals, std::greater<>());
        const auto newest = graph_.newest();
        plan_.is_newest_gone = newest && !kept_[*newest];
    }

    const RetentionCatalog& catalog_;
    RetentionGraph graph_;
    RetentionPolicy policy_;
    UnixSeconds now_;
    const RetentionRequest& request_;
    Verdicts verdicts_;
    Flags kept_;
    RetentionPlan plan_;
};

} // namespace

RetentionPlan plan_retention(const RetentionCatalog& catalog,
                             const RetentionPolicy& policy,
                             UnixSeconds now,
                             const RetentionRequest& request)
{
    return RetentionRun(catalog, policy, now, request).run();
}

} // namespace pgstrata::repository
