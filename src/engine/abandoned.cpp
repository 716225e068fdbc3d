// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/abandoned.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/util/path.hpp"

namespace pgstrata::engine {

namespace {

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

} // namespace

void remove_incomplete_backup(const repository::Repository& repository,
                              std::string_view stanza,
                              std::string_view label)
{
    storage::Storage& storage = repository.storage();
    const std::string directory = repository::backup_path(stanza, label);
    std::vector<std::string> paths;
    std::vector<std::string> leases;
    storage::list_recursively(storage, directory, [&](const storage::EntryInfo& entry) {
        const bool is_lease = repository::parse_lease_name(file_name(entry.name)).has_value();
        (is_lease ? leases : paths).push_back(entry.name);
    });
    for (const std::string& path : paths) {
        storage.remove(path);
    }
    storage.remove_directory(repository::pack_path(stanza, label));
    storage.remove_directory(repository::journal_path(stanza, label));
    storage.remove_directory(repository::notes_path(stanza, label));
    for (const std::string& lease : leases) {
        storage.remove(lease);
    }
    storage.remove_directory(directory);
}

void collect_abandoned_backups(const repository::Repository& repository,
                               const std::string& stanza,
                               std::string_view spared)
{
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        if (repository.storage().info(repository::summary_path(stanza, label))) {
            continue;
        }
        if (is_in_progress(repository, stanza, label)) {
            throw Error(
                ErrorCode::lock_acquire,
                fmt::format("backup '{}' of stanza '{}' is in progress, maybe on another host",
                            label,
                            stanza),
                fmt::format("if its host has died, the lease in '{}' runs out after {} s",
                            repository::lease_path(stanza, label),
                            repository::kLeaseLifeSeconds));
        }
        // It may have been completed, and its lease removed, between the two looks.
        if (repository.storage().info(repository::summary_path(stanza, label))) {
            continue;
        }
        if (label == spared) {
            continue;
        }
        log::info("remove what is left of the aborted backup {}", label);
        remove_incomplete_backup(repository, stanza, label);
    }
}

} // namespace pgstrata::engine
