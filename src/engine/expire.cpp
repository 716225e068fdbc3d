// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/expire.hpp"

#include "engine/backup_flaws.hpp"
#include "engine/expire_backups.hpp"
#include "engine/expire_wal.hpp"
#include "engine/leftovers.hpp"
#include "engine/needed_backups.hpp"

#include "pgstrata/log/log.hpp"

#include <algorithm>
#include <set>

namespace pgstrata::engine {

namespace {

using repository::RetentionPlan;
using repository::WalHold;

void log_plan(const ExpireOptions& options, const RetentionPlan& plan)
{
    for (const std::string& text : plan.warnings) {
        log::warn("repo{}: {}", options.repo_index, text);
    }
    if (plan.is_newest_gone) {
        log::warn("repo{0}: expiring latest backup {1} - the ability to perform "
                  "point-in-time-recovery (PITR) may be affected\n"
                  "HINT: non-default settings for 'repo{0}-retention-archive'/"
                  "'repo{0}-retention-archive-type' (even in prior expires) can cause gaps in the "
                  "WAL.",
                  options.repo_index,
                  plan.removals.front());
    }
    for (const repository::ExpiredSet& set : plan.expired) {
        std::string labels;
        for (const std::string& label : set.labels) {
            labels += (labels.empty() ? "" : ", ") + label;
        }
        log::info("repo{}: expire {} backup {}{}",
                  options.repo_index,
                  set.reason,
                  set.labels.size() > 1 ? "set " : "",
                  labels);
    }
}

// As the removal itself does.
void log_removals(const ExpireOptions& options, const RetentionPlan& plan)
{
    for (const std::string& label : plan.removals) {
        log_removal(options, label);
    }
}

std::string describe_hold(const ExpireOptions& options, const repository::ArchivePlan& plan)
{
    const std::string id = repository::to_string(plan.id);
    switch (plan.hold) {
    case WalHold::none:
        break;
    case WalHold::not_set:
        return fmt::format(
            "option 'repo{}-retention-archive' is not set - archive logs will not be "
            "expired",
            options.repo_index);
    case WalHold::not_limited:
        return fmt::format("repo{}: {} is of an earlier cluster, which 'archive-expire-before' "
                           "does not concern - archive logs will not be expired",
                           options.repo_index,
                           id);
    case WalHold::time_not_met:
        return fmt::format("repo{}: time-based archive retention not met - archive logs will not "
                           "be expired",
                           options.repo_index);
    case WalHold::too_few:
        return fmt::format("repo{}: there are fewer backups than archive retention wants - archive "
                           "logs will not be expired",
                           options.repo_index);
    case WalHold::no_window:
        return fmt::format("repo{}: {} all archive logs are within 'repo{}-retention-pitr'",
                           options.repo_index,
                           id,
                           options.repo_index);
    case WalHold::no_start:
        return fmt::format("repo{}: {} a backup does not say which WAL it needs - archive logs "
                           "will not be expired",
                           options.repo_index,
                           id);
    case WalHold::unreadable:
        return fmt::format("repo{}: {} a backup that cannot be read may need WAL - archive logs "
                           "will not be expired",
                           options.repo_index,
                           id);
    case WalHold::in_progress:
        return fmt::format("repo{}: {} a backup in progress may need WAL - archive logs will not "
                           "be expired",
                           options.repo_index,
                           id);
    }
    return {};
}

std::uint64_t expire_wal(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const RetentionPlan& plan)
{
    std::uint64_t removed = 0;
    std::set<std::string> told;
    for (const repository::ArchivePlan& archive : plan.archives) {
        const std::string text = describe_hold(options, archive);
        if (!text.empty() && told.insert(text).second) {
            log::info("{}", text);
        }
        removed += remove_wal(options, repository, archive);
    }
    return removed;
}

bool has_anything_to_remove(const ExpireOptions& options,
                            const repository::Repository& repository,
                            const RetentionPlan& plan)
{
    return !plan.removals.empty() ||
           std::ranges::any_of(plan.archives, [&](const repository::ArchivePlan& archive) {
               return has_wal_to_remove(options, repository, archive);
           });
}

// What backups and WAL that go are given up for must be there. Gives whether one of the backups
// that stay turned out not to be, which the catalog then says.
bool note_flaws(const ExpireOptions& options,
                const RetentionPlan& plan,
                BackupFlaws& flaws,
                repository::RetentionCatalog& catalog)
{
    const std::size_t known = catalog.flawed.size();
    for (const repository::BackupSummary& backup : catalog.backups) {
        if (contains(plan.removals, backup.label) || contains(catalog.flawed, backup.label)) {
            continue;
        }
        if (const std::string& flaw = flaws.find(backup); !flaw.empty()) {
            log::warn("repo{}: backup {} cannot be restored and does not count for retention: {}",
                      options.repo_index,
                      backup.label,
                      flaw);
            catalog.flawed.push_back(backup.label);
        }
    }
    return catalog.flawed.size() != known;
}

RetentionPlan plan_over_restorable(const ExpireOptions& options,
                                   const repository::Repository& repository,
                                   ExpireCatalog& found)
{
    const UnixSeconds now = now_seconds();
    const auto plan = [&] {
        return repository::plan_retention(found.catalog, options.policy, now, options.request);
    };
    RetentionPlan planned = plan();
    if (!has_anything_to_remove(options, repository, planned)) {
        return planned;
    }
    BackupFlaws flaws(repository, options.stanza, found);
    while (note_flaws(options, planned, flaws, found.catalog)) {
        planned = plan();
    }
    return planned;
}

std::vector<std::string> labels_of(const repository::RetentionCatalog& catalog)
{
    std::vector<std::string> labels;
    for (const repository::BackupSummary& backup : catalog.backups) {
        labels.push_back(backup.label);
    }
    return labels;
}

} // namespace

ExpireReport expire(const ExpireOptions& options, const repository::Repository& repository)
{
    ExpireCatalog found = read_expire_catalog(repository, options.stanza);
    if (!options.is_dry_run && give_back_cut_off(options, repository, found)) {
        found = read_expire_catalog(repository, options.stanza);
    }
    const RetentionPlan plan = plan_over_restorable(options, repository, found);
    log_plan(options, plan);
    ExpireReport report{plan.has_set, plan.removals.size(), 0};
    if (options.is_dry_run) {
        log_removals(options, plan);
    }
    const bool is_as_planned =
        options.is_dry_run || remove_backups(options, repository, found, plan);
    if (!is_as_planned && !options.request.set.empty()) {
        throw Error(ErrorCode::lock_acquire,
                    fmt::format("backup '{}' is not expired with all that builds on it: somebody "
                                "else is at work on it, or has annotated it",
                                options.request.set),
                    "the warnings above tell; wait until he is done and repeat the command");
    }
    if (!is_as_planned || !remove_dead_backups(options, repository, found, plan)) {
        log::warn("repo{}: the next expire does the rest", options.repo_index);
        return report;
    }
    report.wal_files = expire_wal(options, repository, plan);
    if (!options.is_dry_run) {
        remove_leftovers(repository, options.stanza, labels_of(found.catalog));
    }
    remove_history(options, repository, found, plan);
    return report;
}

} // namespace pgstrata::engine
