// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/stanza_delete.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <memory>

namespace pgstrata::engine {

namespace {

void remove_summaries(const repository::Repository& repository, const std::string& stanza)
{
    std::vector<std::string> summaries;
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        summaries.push_back(repository::summary_path(stanza, label));
    }
    // Those that others build on last.
    std::ranges::reverse(summaries);
    repository.storage().remove_all(summaries);
}

// The archive of a generation without its cluster.json is refused by all who read or write it.
void remove_clusters(storage::Storage& storage, const std::string& stanza)
{
    std::vector<std::string> clusters;
    storage.list(repository::archive_path(stanza), [&](const storage::EntryInfo& entry) {
        if (const auto id = repository::parse_archive_id(entry.name)) {
            clusters.push_back(repository::cluster_path(stanza, *id));
        }
    });
    storage.remove_all(clusters);
}

// All but what is at `spared`.
void remove_tree(storage::Storage& storage, const std::string& path, const std::string& spared)
{
    check_cancelled();
    std::vector<std::string> files;
    std::vector<std::string> directories;
    storage.list(path, [&](const storage::EntryInfo& entry) {
        (entry.type == storage::EntryType::directory ? directories : files)
            .push_back(join_path(path, entry.name));
    });
    std::erase(directories, spared);
    for (const std::string& directory : directories) {
        remove_tree(storage, directory, spared);
    }
    storage.remove_all(files);
    storage.remove_directory(path);
}

// A backup that has begun before is seen, and one that begins from now on sees this.
std::unique_ptr<repository::Lease> claim_stanza(const repository::Repository& repository,
                                                const std::string& stanza)
{
    const std::string label(kDeletionLabel);
    const auto turn = repository::find_lease_turn(repository, stanza, label);
    check_not_being_deleted(repository, stanza);
    auto claim = repository::Lease::claim(repository, stanza, label, turn ? *turn + 1 : 0);
    if (!claim) {
        raise(
            ErrorCode::lock_acquire, "stanza '{}' is being deleted, maybe by another host", stanza);
    }
    return claim;
}

// Else nobody but this host could begin anything for a while.
void give_up(const repository::Repository& repository,
             const std::string& stanza,
             repository::Lease& claim) noexcept
{
    try {
        claim.give_up();
        repository.storage().remove_directory(repository::backup_path(stanza, kDeletionLabel));
    } catch (const std::exception& error) {
        log::warn(
            "unable to remove the lease for the deletion of stanza '{}': {}", stanza, error.what());
    }
}

void remove_everything(const repository::Repository& repository,
                       const std::string& stanza,
                       repository::Lease& claim)
{
    storage::Storage& storage = repository.storage();
    const std::string backups = repository::backup_path(stanza);
    const std::string spared = repository::backup_path(stanza, kDeletionLabel);
    check_no_backup_in_progress(repository, stanza, kDeletionLabel);
    remove_summaries(repository, stanza);
    remove_clusters(storage, stanza);
    remove_tree(storage, backups, spared);
    remove_tree(storage, repository::archive_path(stanza), spared);
    claim.release();
    storage.remove_directory(spared);
    storage.remove_directory(backups);
}

} // namespace

bool has_stanza(const storage::Storage& storage, const std::string& stanza)
{
    return storage.info(repository::archive_path(stanza)).has_value() ||
           storage.info(repository::backup_path(stanza)).has_value();
}

void delete_stanza(const repository::Repository& repository, const std::string& stanza)
{
    check_no_backup_in_progress(repository, stanza);
    if (!has_stanza(repository.storage(), stanza)) {
        return;
    }
    const auto claim = claim_stanza(repository, stanza);
    try {
        remove_everything(repository, stanza, *claim);
    } catch (const Error&) {
        give_up(repository, stanza, *claim);
        throw;
    }
}

} // namespace pgstrata::engine
