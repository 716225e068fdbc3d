// SPDX-License-Identifier: PostgreSQL
#include "engine/expire_backups.hpp"

#include "engine/needed_backups.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace pgstrata::engine {

namespace {

using repository::Repository;
using repository::RetentionPlan;

// Removing is waiting for the store to make it durable.
constexpr std::size_t kWorkers = 4;
constexpr std::size_t kSummaryLimit = std::size_t{64} << 20U;

bool contains(const std::vector<std::string>& labels, const std::string& label)
{
    return std::ranges::find(labels, label) != labels.end();
}

// Nothing lists the backup any more. Somebody else may be at the same.
void remove_without_summary(const ExpireOptions& options,
                            const Repository& repository,
                            const DeadBackup& backup)
{
    try {
        const auto lease =
            claim_next_turn(repository, options.stanza, backup.label, backup.last_turn);
        remove_incomplete_backup(repository, options.stanza, backup.label, *lease);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::lock_acquire) {
            throw;
        }
        log::warn("repo{}: {}", options.repo_index, error.what());
    }
}

class BackupRemoval {
public:
    BackupRemoval(const ExpireOptions& options,
                  const Repository& repository,
                  const ExpireCatalog& found,
                  const RetentionPlan& plan)
        : options_(options), repository_(repository), found_(found), plan_(plan)
    {
    }

    bool run()
    {
        write_records();
        remove_summaries();
        const std::set<std::string> needed = find_needed();
        give_back(needed);
        forget_records(needed);
        std::vector<std::string> labels = removed_;
        std::erase_if(labels, [&](const std::string& label) { return needed.contains(label); });
        // Without their summaries none of them is needed by another.
        parallel_for_each(kWorkers, labels.size(), [&](std::size_t i) {
            check_cancelled();
            log::info("repo{}: remove expired backup {}", options_.repo_index, labels[i]);
            remove_without_summary(options_, repository_, {labels[i], turns_.at(labels[i])});
        });
        return needed.empty() && removed_.size() == plan_.removals.size();
    }

private:
    void write_records() const
    {
        for (const repository::BackupSummary& backup : found_.catalog.backups) {
            if (contains(plan_.removals, backup.label)) {
                check_cancelled();
                repository::write_history(repository_, options_.stanza, backup);
            }
        }
    }

    // When what builds on it is gone. If this is cut off, it tells that the summary was removed and
    // not lost.
    void write_record_of_unreadable(const std::string& label) const
    {
        repository::BackupSummary backup;
        const auto parsed = repository::parse_backup_label(label);
        backup.label = label;
        backup.type = parsed->type;
        backup.start_time = parsed->time;
        backup.stop_time = parsed->time;
        repository::write_history(repository_, options_.stanza, backup);
    }

    std::string summary_path(const std::string& label) const
    {
        return repository::summary_path(options_.stanza, label);
    }

    // Those that others build on last, so that what is left when it stops is whole.
    void remove_summaries()
    {
        storage::Storage& storage = repository_.storage();
        for (const std::string& label : plan_.removals) {
            check_cancelled();
            if (is_decided_anew(label)) {
                warn_of_decision(label);
                return;
            }
            removed_.push_back(label);
            if (contains(found_.catalog.unreadable, label)) {
                write_record_of_unreadable(label);
            }
            turns_[label] = repository::find_lease_turn(repository_, options_.stanza, label);
            if (auto summary = read_file_if_there(summary_path(label))) {
                summaries_[label] = std::move(*summary);
                storage.remove(summary_path(label));
            }
        }
    }

    // Whether somebody has pinned it or given it another life since the catalog was read. A note
    // that cannot be read may be a pin.
    bool is_decided_anew(const std::string& label) const
    {
        const auto& backups = found_.catalog.backups;
        const auto known = std::ranges::find(backups, label, &repository::BackupSummary::label);
        if (known == backups.end()) {
            return false;
        }
        try {
            repository::BackupSummary now = *known;
            for (const auto& note : repository::read_notes(repository_, options_.stanza, label)) {
                repository::apply_note(note, now);
            }
            return now.is_pinned != known->is_pinned || now.retain != known->retain;
        } catch (const Error& error) {
            // Another host that removes the backup takes its notes too.
            return error.code() != ErrorCode::file_missing;
        }
    }

    void warn_of_decision(const std::string& label) const
    {
        log::warn("repo{}: backup {} is not expired: it was annotated at this moment",
                  options_.repo_index,
                  label);
    }

    // Another host may have removed it, or it was lost.
    std::optional<Buffer> read_file_if_there(const std::string& path) const
    {
        try {
            return storage::read_file(repository_.storage(), path, kSummaryLimit);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::file_missing) {
                throw;
            }
            return std::nullopt;
        }
    }

    std::set<std::string> find_needed() const
    {
        std::set<std::string> needed = find_begun_upon();
        // Who annotates looks for the summary after his note, so that one of the two learns of the
        // other.
        for (const std::string& label : removed_) {
            if (!is_decided_anew(label)) {
                continue;
            }
            warn_of_decision(label);
            std::ranges::copy_if(
                removed_, std::inserter(needed, needed.end()), [&](const std::string& other) {
                    return shares_full(other, label) && other <= label;
                });
        }
        return needed;
    }

    // A backup that another host has begun since the plan was made may have found one of these
    // before its summary went. One that begins from now on finds none.
    std::set<std::string> find_begun_upon() const
    {
        std::set<std::string> needed;
        for (const std::string& label : repository::list_labels(repository_, options_.stanza)) {
            for (const std::string& removed : removed_) {
                if (shares_full(removed, label) && has_begun(label)) {
                    needed.insert(removed);
                }
            }
        }
        return needed;
    }

    bool has_begun(const std::string& label) const
    {
        const bool was_dead =
            std::ranges::find(found_.dead, label, &DeadBackup::label) != found_.dead.end();
        if (was_dead) {
            return is_in_progress(repository_, options_.stanza, label) ||
                   repository_.storage().info(summary_path(label)).has_value();
        }
        return !contains(found_.labels, label);
    }

    // Those that others build on first.
    void give_back(const std::set<std::string>& needed) const
    {
        for (const std::string& label : needed) {
            log::warn("repo{}: backup {} is given back: a backup that may build on it has begun, "
                      "or it was annotated",
                      options_.repo_index,
                      label);
            if (const auto summary = summaries_.find(label); summary != summaries_.end()) {
                storage::write_file(
                    repository_.storage(), summary_path(label), summary->second.view());
            }
        }
    }

    // Should one that stays lose its summary one day, nobody has removed it.
    void forget_records(const std::set<std::string>& needed) const
    {
        for (const std::string& label : plan_.removals) {
            if (needed.contains(label) || !contains(removed_, label)) {
                repository_.storage().remove(repository::history_path(options_.stanza, label));
            }
        }
    }

    const ExpireOptions& options_;
    const Repository& repository_;
    const ExpireCatalog& found_;
    const RetentionPlan& plan_;
    std::vector<std::string> removed_; // that have no summary any more
    std::map<std::string, std::optional<unsigned>> turns_;
    std::map<std::string, Buffer> summaries_;
};

// The labels of complete backups that the plan leaves.
std::vector<std::string> labels_left(const ExpireCatalog& found, const RetentionPlan& plan)
{
    std::vector<std::string> labels = found.catalog.unreadable;
    for (const repository::BackupSummary& backup : found.catalog.backups) {
        labels.push_back(backup.label);
    }
    std::erase_if(labels, [&](const std::string& label) { return contains(plan.removals, label); });
    return labels;
}

class DeadBackups {
public:
    DeadBackups(const ExpireOptions& options,
                const Repository& repository,
                const ExpireCatalog& found,
                const RetentionPlan& plan)
        : options_(options), repository_(repository), found_(found), plan_(plan),
          left_(labels_left(found, plan)), needed_(find_needed()),
          history_(repository::list_history(repository, options.stanza))
    {
    }

    void remove() const
    {
        for (const DeadBackup& backup : found_.dead) {
            check_cancelled();
            if (is_needed(backup.label) || can_be_resumed(backup.label)) {
                continue;
            }
            log::info(
                "repo{}: remove what is left of backup {}", options_.repo_index, backup.label);
            if (!options_.is_dry_run) {
                remove_without_summary(options_, repository_, backup);
            }
        }
    }

private:
    NeededBackups find_needed() const
    {
        std::vector<repository::BackupSummary> backups = found_.catalog.backups;
        std::erase_if(backups, [&](const auto& backup) { return !contains(left_, backup.label); });
        std::vector<std::string> unknown = found_.catalog.unreadable;
        std::erase_if(unknown, [&](const auto& label) { return !contains(left_, label); });
        std::ranges::copy(found_.catalog.in_progress, std::back_inserter(unknown));
        return {std::move(backups), std::move(unknown)};
    }

    bool is_needed(const std::string& label) const
    {
        const std::string need = needed_.find_need(label);
        if (!need.empty()) {
            log::warn("repo{}: what is left of backup {} stays, because {}",
                      options_.repo_index,
                      label,
                      need);
        }
        return !need.empty();
    }

    // As the next backup sees it, which takes up the newest of all if it can.
    bool can_be_resumed(const std::string& label) const
    {
        const auto time_of = [](const std::string& text) {
            return repository::parse_backup_label(text)->time;
        };
        const auto newest = std::ranges::max_element(found_.labels, {}, time_of);
        if (newest == found_.labels.end() || *newest != label || contains(history_, label) ||
            !repository::has_journal(repository_, options_.stanza, label)) {
            return false;
        }
        const auto is_of_its_family = [&](const std::string& other) {
            return shares_full(other, label);
        };
        const std::string family = repository::parse_backup_label(label)->full;
        return std::ranges::none_of(plan_.removals, is_of_its_family) &&
               (family == label || contains(left_, family));
    }

    const ExpireOptions& options_;
    const Repository& repository_;
    const ExpireCatalog& found_;
    const RetentionPlan& plan_;
    std::vector<std::string> left_;
    NeededBackups needed_;
    std::vector<std::string> history_;
};

} // namespace

bool remove_backups(const ExpireOptions& options,
                    const Repository& repository,
                    const ExpireCatalog& found,
                    const RetentionPlan& plan)
{
    return plan.removals.empty() || BackupRemoval(options, repository, found, plan).run();
}

void remove_dead_backups(const ExpireOptions& options,
                         const Repository& repository,
                         const ExpireCatalog& found,
                         const RetentionPlan& plan)
{
    if (!found.dead.empty()) {
        DeadBackups(options, repository, found, plan).remove();
    }
}

void remove_history(const ExpireOptions& options,
                    const Repository& repository,
                    const ExpireCatalog& found,
                    const RetentionPlan& plan)
{
    if (!plan.history_before) {
        return;
    }
    // What is still there needs it too, if only to be told from what has lost its summary.
    std::vector<std::string> left = labels_left(found, plan);
    if (!options.is_dry_run) {
        std::ranges::copy(repository::list_labels(repository, options.stanza),
                          std::back_inserter(left));
    }
    std::vector<std::string> paths;
    for (const std::string& label : repository::list_history(repository, options.stanza)) {
        const auto parsed = repository::parse_backup_label(label);
        if (parsed->time >= *plan.history_before || contains(left, label)) {
            continue;
        }
        log::info("repo{}: remove the record of backup {}", options.repo_index, label);
        paths.push_back(repository::history_path(options.stanza, label));
    }
    if (!options.is_dry_run) {
        repository.storage().remove_all(paths);
    }
}

} // namespace pgstrata::engine
