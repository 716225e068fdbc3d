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

class StanzaDeletion {
public:
    // All outlive it. `claim` is the lease of the deletion.
    StanzaDeletion(const repository::Repository& repository,
                   const std::string& stanza,
                   repository::Lease& claim)
        : repository_(repository), stanza_(stanza), claim_(claim),
          claim_directory_(repository::backup_path(stanza, kDeletionLabel))
    {
    }

    void run()
    {
        check_no_backup_in_progress(repository_, stanza_, kDeletionLabel);
        remove_summaries();
        remove_clusters();
        remove_tree(repository::backup_path(stanza_));
        remove_tree(repository::archive_path(stanza_));
        remove_tree(repository::copy_path(repository::archive_path(stanza_)));
        claim_.release();
        repository_.storage().remove_directory(claim_directory_);
        repository_.storage().remove_directory(repository::backup_path(stanza_));
    }

private:
    void remove_summaries()
    {
        std::vector<std::string> summaries;
        for (const std::string& label : repository::list_labels(repository_, stanza_)) {
            summaries.push_back(repository::summary_path(stanza_, label));
        }
        // Those that others build on last.
        std::ranges::reverse(summaries);
        remove(summaries);
    }

    // The archive of a generation without its cluster.json is refused by all who read or write it.
    void remove_clusters()
    {
        for (const auto& id : repository::list_archive_ids(repository_, stanza_)) {
            for (const std::string& path : repository::cluster_paths(stanza_, id)) {
                remove({path});
            }
        }
    }

    // All but the lease.
    void remove_tree(const std::string& path)
    {
        check_cancelled();
        storage::Storage& storage = repository_.storage();
        std::vector<std::string> files;
        std::vector<std::string> directories;
        storage.list(path, [&](const storage::EntryInfo& entry) {
            (entry.type == storage::EntryType::directory ? directories : files)
                .push_back(join_path(path, entry.name));
        });
        std::erase(directories, claim_directory_);
        for (const std::string& directory : directories) {
            remove_tree(directory);
        }
        remove(files);
        storage.remove_directory(path);
    }

    // If this process was stopped for so long that the lease ran out, somebody else may have
    // deleted the stanza meanwhile and created it anew.
    void remove(const std::vector<std::string>& paths)
    {
        if (paths.empty()) {
            return;
        }
        if (!claim_.is_held()) {
            // No lock to wait for: what is there now is not what was to be deleted.
            throw Error(
                ErrorCode::path_remove,
                fmt::format("the deletion of stanza '{}' was taken over by somebody else", stanza_),
                "was this process stopped for a long time? info shows whether the stanza is there");
        }
        repository_.storage().remove_all(paths);
    }

    const repository::Repository& repository_;
    const std::string& stanza_;
    repository::Lease& claim_;
    std::string claim_directory_;
};

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
        StanzaDeletion(repository, stanza, *claim).run();
    } catch (const Error&) {
        give_up(repository, stanza, *claim);
        throw;
    }
}

} // namespace pgstrata::engine
