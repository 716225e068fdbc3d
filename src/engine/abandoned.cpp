// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/abandoned.hpp"

#include "engine/needed_backups.hpp"
#include "engine/remains.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <span>

namespace pgstrata::engine {

namespace {

void check_not_in_progress(const repository::Repository& repository,
                           const std::string& stanza,
                           const std::string& label)
{
    if (!is_in_progress(repository, stanza, label)) {
        return;
    }
    throw Error(
        ErrorCode::lock_acquire,
        label == kDeletionLabel
            ? fmt::format("stanza '{}' is being deleted, maybe by another host", stanza)
            : fmt::format("backup '{}' of stanza '{}' is in progress, maybe on another host",
                          label,
                          stanza),
        fmt::format("if its host has died, the lease in '{}' runs out after {} s",
                    repository::lease_path(stanza, label),
                    repository::kLeaseLifeSeconds));
}

// What a process that was stopped for a long time may still remove of what is no longer its own;
// stores remove up to so many objects with one request.
constexpr std::size_t kRemovedAtOnce = 1000;

void check_held(const repository::Lease& held, std::string_view stanza, std::string_view label)
{
    if (!held.is_held()) {
        throw Error(ErrorCode::lock_acquire,
                    fmt::format("backup '{}' of stanza '{}' was taken over by somebody else while "
                                "it was removed",
                                label,
                                stanza),
                    "was this process stopped for a long time?");
    }
}

// Whether there is anything but a summary.
bool is_incomplete(const repository::Repository& repository,
                   const std::string& stanza,
                   const std::string& label)
{
    bool has_any = false;
    repository.storage().list(repository::backup_path(stanza, label),
                              [&](const storage::EntryInfo&) { has_any = true; });
    return has_any && !repository.storage().info(repository::summary_path(stanza, label));
}

// Empty when there is none.
std::string newest_label(const repository::Repository& repository, const std::string& stanza)
{
    const std::vector<std::string> labels = repository::list_labels(repository, stanza);
    const auto newest = std::ranges::max_element(labels, {}, [](const std::string& label) {
        return repository::parse_backup_label(label)->time;
    });
    return newest == labels.end() ? "" : *newest;
}

// Whether it has stored anything that the next backup could go on with.
bool has_journal(const repository::Repository& repository,
                 const std::string& stanza,
                 const std::string& label)
{
    bool has_any = false;
    repository.storage().list(
        repository::journal_path(stanza, label), [&](const storage::EntryInfo& entry) {
            has_any = has_any || repository::parse_pack_number(entry.name).has_value();
        });
    return has_any;
}

struct AbandonedBackup {
    std::string label;
    std::optional<unsigned> last_turn; // of its lease, before its holder was found dead
};

std::vector<AbandonedBackup> find_abandoned(const repository::Repository& repository,
                                            const std::string& stanza,
                                            std::string_view spared,
                                            KnownBackups& known)
{
    std::vector<AbandonedBackup> found;
    known.labels = repository::list_labels(repository, stanza);
    for (const std::string& label : known.labels) {
        if (repository.storage().info(repository::summary_path(stanza, label))) {
            continue;
        }
        const auto last_turn = repository::find_lease_turn(repository, stanza, label);
        check_not_in_progress(repository, stanza, label);
        // It may have been completed, and its lease removed, between the two looks.
        if (label != spared &&
            !repository.storage().info(repository::summary_path(stanza, label))) {
            found.push_back({label, last_turn});
            known.dead.push_back(label);
        }
    }
    return found;
}

} // namespace

// A lease that cannot be read says nothing about its holder; its age as a file does.
bool is_in_progress(const repository::Repository& repository,
                    const std::string& stanza,
                    const std::string& label)
{
    try {
        const auto lease = repository::read_lease(repository, stanza, label);
        return lease && repository::is_alive(*lease, now_seconds());
    } catch (const Error&) {
        const auto turn = repository::find_lease_turn(repository, stanza, label);
        const auto info =
            repository.storage().info(repository::lease_path(stanza, label, turn.value_or(0)));
        return info && now_seconds() - info->mtime < repository::kLeaseLifeSeconds;
    }
}

bool is_expired(const repository::Repository& repository,
                const std::string& stanza,
                const std::string& label)
{
    return repository.storage().info(repository::history_path(stanza, label)).has_value();
}

std::vector<IncompleteBackup> describe_incomplete(const repository::Repository& repository,
                                                  const std::string& stanza,
                                                  const std::vector<std::string>& labels)
{
    std::vector<IncompleteBackup> found;
    const std::string newest = labels.empty() ? "" : newest_label(repository, stanza);
    for (const std::string& label : labels) {
        IncompleteBackup backup{.label = label};
        backup.is_in_progress = is_in_progress(repository, stanza, label);
        backup.is_expired = is_expired(repository, stanza, label);
        try {
            if (const auto lease = repository::read_lease(repository, stanza, label)) {
                backup.host = lease->host;
                backup.renewed = lease->renewed;
            }
        } catch (const Error& error) {
            log::warn("the lease of backup {} cannot be read: {}", label, error.what());
        }
        backup.can_be_resumed =
            !backup.is_in_progress && label == newest && has_journal(repository, stanza, label);
        if (is_incomplete(repository, stanza, label)) {
            found.push_back(std::move(backup));
        }
    }
    return found;
}

void check_not_being_deleted(const repository::Repository& repository, const std::string& stanza)
{
    check_not_in_progress(repository, stanza, std::string(kDeletionLabel));
}

void check_no_backup_in_progress(const repository::Repository& repository,
                                 const std::string& stanza,
                                 std::string_view spared)
{
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        if (label != spared &&
            !repository.storage().info(repository::summary_path(stanza, label))) {
            check_not_in_progress(repository, stanza, label);
        }
    }
}

std::unique_ptr<repository::Lease> claim_next_turn(const repository::Repository& repository,
                                                   const std::string& stanza,
                                                   const std::string& label,
                                                   std::optional<unsigned> last_turn)
{
    auto lease =
        repository::Lease::claim(repository, stanza, label, last_turn ? *last_turn + 1 : 0);
    const Error taken(
        ErrorCode::lock_acquire,
        fmt::format("backup '{}' of stanza '{}' was taken up by somebody else", label, stanza),
        "wait until it is done");
    if (!lease) {
        throw Error(taken);
    }
    work_under(*lease, [&] {
        if (repository.storage().info(repository::summary_path(stanza, label))) {
            lease->release();
            throw Error(taken);
        }
    });
    return lease;
}

void remove_incomplete_backup(const repository::Repository& repository,
                              std::string_view stanza,
                              std::string_view label,
                              repository::Lease& held)
{
    storage::Storage& storage = repository.storage();
    const std::string directory = repository::backup_path(stanza, label);
    std::vector<std::string> paths;
    storage::list_recursively(storage, directory, [&](const storage::EntryInfo& entry) {
        if (!repository::parse_lease_name(file_name(entry.name))) {
            paths.push_back(entry.name);
        }
    });
    check_held(held, stanza, label);
    // A summary whose writing failed may be there all the same; without it nothing is listed.
    storage.remove(repository::summary_path(stanza, label));
    // Without its journals it would look as if it had lost its summary.
    storage.remove(repository::manifest_path(stanza, label));
    for (std::span<const std::string> left = paths; !left.empty();) {
        const auto batch = left.first(std::min(left.size(), kRemovedAtOnce));
        check_held(held, stanza, label);
        storage.remove_all(batch);
        left = left.subspan(batch.size());
    }
    storage.remove_directory(repository::pack_path(stanza, label));
    storage.remove_directory(repository::journal_path(stanza, label));
    storage.remove_directory(repository::notes_path(stanza, label));
    held.release();
    storage.remove_directory(directory);
}

void collect_abandoned_backups(const repository::Repository& repository,
                               const std::string& stanza,
                               std::string_view spared)
{
    KnownBackups known;
    const std::vector<AbandonedBackup> abandoned =
        find_abandoned(repository, stanza, spared, known);
    if (abandoned.empty()) {
        return;
    }
    const NeededBackups needed = NeededBackups::read(repository, stanza);
    for (const AbandonedBackup& backup : abandoned) {
        const std::string& label = backup.label;
        if (has_lost_summary(repository, stanza, label)) {
            warn_of_lost_summary(stanza, label);
            continue;
        }
        const std::string need = needed.find_need(label);
        if (!need.empty()) {
            log::warn("what is left of backup {} stays, because {}", label, need);
            continue;
        }
        // Somebody may want to go on with it at this very moment.
        const auto lease = claim_next_turn(repository, stanza, label, backup.last_turn);
        work_under(*lease, [&] {
            check_still_unneeded(repository, stanza, label, known);
            log::info("remove what is left of the aborted backup {}", label);
            remove_incomplete_backup(repository, stanza, label, *lease);
        });
    }
}

} // namespace pgstrata::engine
