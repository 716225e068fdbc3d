// SPDX-License-Identifier: PostgreSQL
#include "engine/expire_backups.hpp"

#include "engine/needed_backups.hpp"
#include "engine/remains.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/notes.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>
#include <atomic>
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

// Nothing lists the backup any more. False when somebody else is at it, or something may build on
// it again.
bool remove_without_summary(const ExpireOptions& options,
                            const Repository& repository,
                            const DeadBackup& backup,
                            const KnownBackups& known)
{
    try {
        const auto lease =
            claim_next_turn(repository, options.stanza, backup.label, backup.last_turn);
        work_under(*lease, [&] {
            check_still_unneeded(repository, options.stanza, backup.label, known);
            remove_incomplete_backup(repository, options.stanza, backup.label, *lease);
        });
        return true;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::lock_acquire) {
            throw;
        }
        log::warn("repo{}: {}", options.repo_index, error.what());
        return false;
    }
}

// By what was known of it when its removal began. False when that cannot be.
bool give_back_by_record(const Repository& repository,
                         const std::string& stanza,
                         const std::string& label,
                         HeldLeases& held)
{
    const auto write = [&] {
        const auto record = repository::read_history(repository, stanza, label);
        // That of a backup that could not be read says nothing.
        if (!record || record->archive_id.number == 0) {
            raise(ErrorCode::format, "it does not say what the backup was");
        }
        repository::write_summary(repository, stanza, *record);
    };
    try {
        return give_back(repository, stanza, label, write, held);
    } catch (const Error& error) {
        if (!repository::is_unusable(error.code())) {
            throw;
        }
        log::warn("the record of backup {} is of no use: {}", label, error.what());
        return false;
    }
}

KnownBackups known_backups(const ExpireCatalog& found)
{
    KnownBackups known{found.labels, {}};
    known.dead.reserve(found.dead.size());
    for (const DeadBackup& backup : found.dead) {
        known.dead.push_back(backup.label);
    }
    return known;
}

class BackupRemoval {
public:
    BackupRemoval(const ExpireOptions& options,
                  const Repository& repository,
                  const ExpireCatalog& found,
                  const RetentionPlan& plan)
        : options_(options), repository_(repository), found_(found), plan_(plan),
          known_(known_backups(found))
    {
    }

    bool run()
    {
        remove_summaries();
        // Also when a signal has come: what has lost its summary must not stay so if it is needed.
        const std::set<std::string> needed = find_needed();
        give_back_needed(needed);
        check_cancelled();
        // Without their summaries none of them is needed by another.
        std::map<std::string, std::vector<std::string>> families; // by full, those that build last
        for (const std::string& label : removed_) {
            if (!needed.contains(label)) {
                families[repository::parse_backup_label(label)->full].push_back(label);
            }
        }
        std::vector<std::vector<std::string>> lists;
        lists.reserve(families.size());
        for (auto& [full, labels] : families) {
            lists.push_back(std::move(labels));
        }
        std::atomic<std::size_t> done = 0;
        parallel_for_each(
            kWorkers, lists.size(), [&](std::size_t i) { done += remove_family(lists[i]); });
        return done == plan_.removals.size();
    }

private:
    // When what builds on it is gone. If this is cut off, it tells that the summary was removed and
    // not lost.
    void write_record(const std::string& label) const
    {
        const auto& backups = found_.catalog.backups;
        const auto known = std::ranges::find(backups, label, &repository::BackupSummary::label);
        if (known != backups.end()) {
            repository::write_history(repository_, options_.stanza, *known);
            return;
        }
        repository::BackupSummary backup; // that cannot be read
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
            if (pending_signal() != 0) {
                return;
            }
            if (is_decided_anew(label)) {
                warn_of_decision(label);
                return;
            }
            removed_.push_back(label);
            write_record(label);
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

    // Returns how many. When another host has given one back, what it builds on is given back too.
    std::size_t remove_family(const std::vector<std::string>& labels) const
    {
        for (std::size_t i = 0; i < labels.size(); ++i) {
            check_cancelled();
            log_removal(options_, labels[i]);
            const DeadBackup backup{labels[i], turns_.at(labels[i])};
            if (!remove_without_summary(options_, repository_, backup, known_)) {
                give_back_needed({labels.begin() + static_cast<std::ptrdiff_t>(i), labels.end()});
                return i;
            }
        }
        return labels.size();
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
        std::map<std::string, bool> has_begun; // by full
        std::set<std::string> needed;
        for (const std::string& label : removed_) {
            const std::string full = repository::parse_backup_label(label)->full;
            if (!has_begun.contains(full)) {
                has_begun[full] = has_family_begun(repository_, options_.stanza, label, known_);
            }
            if (has_begun[full]) {
                needed.insert(label);
            }
        }
        return needed;
    }

    // Those that others build on first: of a family the rest does not go back without them.
    void give_back_needed(const std::set<std::string>& needed) const
    {
        HeldLeases held;
        std::set<std::string> gone; // fulls
        for (const std::string& label : needed) {
            const std::string full = repository::parse_backup_label(label)->full;
            if (gone.contains(full)) {
                continue;
            }
            log::warn("repo{}: backup {} is given back: a backup that may build on it has begun, "
                      "it was annotated, or somebody else is at work on it",
                      options_.repo_index,
                      label);
            if (give_back_one(label, held)) {
                // Should it lose its summary one day, nobody has removed it.
                repository_.storage().remove(repository::history_path(options_.stanza, label));
            } else {
                gone.insert(full);
            }
        }
    }

    bool give_back_one(const std::string& label, HeldLeases& held) const
    {
        const auto summary = summaries_.find(label);
        if (summary == summaries_.end()) {
            return give_back_by_record(repository_, options_.stanza, label, held);
        }
        const auto write = [&] {
            storage::write_file(repository_.storage(), summary_path(label), summary->second.view());
        };
        return give_back(repository_, options_.stanza, label, write, held);
    }

    const ExpireOptions& options_;
    const Repository& repository_;
    const ExpireCatalog& found_;
    const RetentionPlan& plan_;
    KnownBackups known_;
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

    bool remove() const
    {
        const KnownBackups known = known_backups(found_);
        bool is_done = true;
        for (const DeadBackup& backup : found_.dead) {
            check_cancelled();
            if (is_needed(backup.label) || can_be_resumed(backup.label)) {
                continue;
            }
            log::info(
                "repo{}: remove what is left of backup {}", options_.repo_index, backup.label);
            if (!options_.is_dry_run) {
                is_done = remove_without_summary(options_, repository_, backup, known) && is_done;
            }
        }
        return is_done;
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

void log_removal(const ExpireOptions& options, const std::string& label)
{
    log::info("repo{}: remove expired backup {}", options.repo_index, label);
}

bool remove_backups(const ExpireOptions& options,
                    const Repository& repository,
                    const ExpireCatalog& found,
                    const RetentionPlan& plan)
{
    return plan.removals.empty() || BackupRemoval(options, repository, found, plan).run();
}

bool remove_dead_backups(const ExpireOptions& options,
                         const Repository& repository,
                         const ExpireCatalog& found,
                         const RetentionPlan& plan)
{
    return found.dead.empty() || DeadBackups(options, repository, found, plan).remove();
}

bool give_back_cut_off(const ExpireOptions& options,
                       const Repository& repository,
                       const ExpireCatalog& found)
{
    if (found.dead.empty()) {
        return false;
    }
    std::vector<std::string> unknown = found.catalog.unreadable;
    std::ranges::copy(found.catalog.in_progress, std::back_inserter(unknown));
    const NeededBackups needed(found.catalog.backups, std::move(unknown));
    HeldLeases held;
    bool is_any_back = false;
    for (const DeadBackup& backup : found.dead) {
        const std::string need = needed.find_need(backup.label);
        const bool was_removed = repository.storage()
                                     .info(repository::history_path(options.stanza, backup.label))
                                     .has_value();
        if (!need.empty() && was_removed &&
            give_back_by_record(repository, options.stanza, backup.label, held)) {
            repository.storage().remove(repository::history_path(options.stanza, backup.label));
            log::warn("repo{}: backup {}, whose removal was cut off, is given back, because {}",
                      options.repo_index,
                      backup.label,
                      need);
            is_any_back = true;
        }
    }
    return is_any_back;
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
