// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_choice.hpp"

#include "engine/recovery_check.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

namespace pgstrata::engine {

namespace {

using repository::BackupSummary;
using repository::RecoveryType;
using repository::Repository;
using Follow = repository::RecoveryTarget::Follow;

class BackupChoice : NonCopyable {
public:
    BackupChoice(const RestoreOptions& options, const std::vector<RestoreSource>& sources)
        : options_(options), sources_(sources)
    {
    }

    ChosenBackup choose()
    {
        std::string failures;
        for (const RestoreSource& source : sources_) {
            try {
                if (choose_backup_in(source)) {
                    log::info("repo{}: restore backup set {}, recovery will start at {}",
                              source.index,
                              chosen_.summary.label,
                              format_local_time(chosen_.summary.start_time));
                    return std::move(chosen_);
                }
            } catch (const Error& error) {
                const bool is_answer = sources_.size() == 1 && has_stanza(source);
                if (is_answer || error.code() == ErrorCode::terminated) {
                    throw;
                }
                log::warn("repo{}: [{:03}] {}", source.index, error.exit_status(), error.what());
                failures += fmt::format(
                    "\nrepo{}: [{:03}] {}", source.index, error.exit_status(), error.what());
            }
        }
        raise_no_backup(failures);
    }

private:
    // Where the stanza never was there is no backup to restore, and nothing that went wrong.
    bool has_stanza(const RestoreSource& source) const
    {
        return !repository::list_archive_ids(*source.repository, options_.stanza).empty();
    }

    [[noreturn]] void raise_no_backup(const std::string& failures) const
    {
        if (!options_.set.empty()) {
            throw Error(ErrorCode::backup_set_invalid,
                        fmt::format("backup set {} is not valid{}", options_.set, failures),
                        "info lists the backups that can be restored");
        }
        throw Error(ErrorCode::backup_set_invalid,
                    names_a_moment()
                        ? fmt::format("unable to find backup set with a stop before target '{}'{}",
                                      options_.settings.target,
                                      failures)
                        : fmt::format("no backup set found to restore{}", failures),
                    names_a_moment()
                        ? "choose a later target, or a backup of another repository"
                        : "has a backup been made, and are --stanza and repo-path right?");
    }

    // A backup would fit if it were not for the timeline that was asked for.
    void check_timeline_is_the_reason(const std::vector<BackupSummary>& backups) const
    {
        repository::RecoveryTarget target = options_.target;
        target.follow = Follow::newest;
        if (options_.target.follow != Follow::newest &&
            repository::choose_backup(backups, target, chosen_.tree) != nullptr) {
            check_history_asked_for();
            throw Error(ErrorCode::db_mismatch,
                        fmt::format("timeline {} cannot be reached from any backup that fits",
                                    options_.target.follow == Follow::latest
                                        ? repository::newest_timeline(chosen_.tree)
                                        : options_.target.timeline),
                        "is its history file in the archive? without --target-timeline the newest "
                        "one that can be reached is taken");
        }
    }

    // Looks at the cluster that the repository knows as `id`, with the timelines of all sources
    // that have WAL of it: the restored server asks them all.
    void turn_to_cluster(const Repository& repository, repository::ArchiveId id)
    {
        chosen_.cluster = read_known_cluster(repository, id);
        chosen_.archives.clear();
        chosen_.tree.clear();
        damaged_.clear();
        add_archive({&repository, id});
        for (const RestoreSource& source : sources_) {
            try {
                if (source.repository != &repository) {
                    add_archives_of_same_cluster(*source.repository);
                }
            } catch (const Error& error) {
                if (error.code() == ErrorCode::terminated) {
                    throw;
                }
                log::warn("repo{}: WAL in it is passed over: [{:03}] {}",
                          source.index,
                          error.exit_status(),
                          error.what());
            }
        }
        std::erase_if(damaged_, [&](const auto& damaged) {
            return damaged.second.code() != ErrorCode::archive_duplicate &&
                   chosen_.tree.contains(damaged.first);
        });
    }

    void add_archives_of_same_cluster(const Repository& repository)
    {
        for (const repository::Cluster& cluster :
             repository::list_clusters(repository, options_.stanza)) {
            if (cluster.system_identifier == chosen_.cluster.system_identifier &&
                cluster.id.major == chosen_.cluster.id.major) {
                add_archive({&repository, cluster.id});
            }
        }
    }

    void add_archive(const WalPlace& place)
    {
        chosen_.tree.merge(
            read_sound_timelines(*place.repository, options_.stanza, place.id, damaged_));
        chosen_.archives.push_back(place);
    }

    void check_history_asked_for() const
    {
        const auto found = damaged_.find(options_.target.timeline);
        if (options_.target.follow == Follow::number && found != damaged_.end()) {
            throw Error(found->second);
        }
    }

    // The server dies of a damaged history that it follows. One of a newer timeline may be the one
    // to follow: an older timeline is not taken for it unseen, and not refused when it is named.
    void check_histories() const
    {
        const RecoveryType type = recovery_type(options_, chosen_.summary);
        const bool is_recovered = type != RecoveryType::none && type != RecoveryType::preserve;
        if (damaged_.empty() || !is_recovered) {
            return;
        }
        check_history_asked_for();
        // How far an offline backup gets is not known yet.
        const postgres::Timeline timeline =
            chosen_.summary.is_online
                ? repository::choose_timeline(chosen_.summary, options_.target, chosen_.tree)
                : chosen_.summary.timeline;
        const bool follows_newest = (options_.target.follow == Follow::newest ||
                                     options_.target.follow == Follow::latest) &&
                                    type != RecoveryType::immediate;
        for (const auto& [number, error] : damaged_) {
            if (number == timeline || (follows_newest && number > timeline)) {
                throw Error(error.code(),
                            fmt::format("the timeline to follow cannot be told: {}", error.what()),
                            "name another one with --target-timeline; 'current' is the backup's");
            }
            log::warn("{}", error.what());
        }
    }

    bool names_a_moment() const
    {
        return options_.target.type == RecoveryType::time ||
               options_.target.type == RecoveryType::lsn;
    }

    // The clusters to look for a backup in, newest first. A moment may lie before an upgrade; what
    // is asked for without one is of the cluster as it is.
    std::vector<repository::ArchiveId> clusters_to_search(const std::vector<BackupSummary>& backups,
                                                          repository::ArchiveId current) const
    {
        if (!names_a_moment()) {
            if (!backups.empty() && backups.back().archive_id != current) {
                throw Error(
                    ErrorCode::backup_set_invalid,
                    fmt::format("the latest backup set {} is from a prior version of PostgreSQL",
                                backups.back().label),
                    "was a backup taken after the upgrade? specify --set to restore an older "
                    "backup");
            }
            return {current};
        }
        std::vector<repository::ArchiveId> ids;
        for (auto backup = backups.rbegin(); backup != backups.rend(); ++backup) {
            if (std::ranges::find(ids, backup->archive_id) == ids.end()) {
                ids.push_back(backup->archive_id);
            }
        }
        return ids;
    }

    std::optional<BackupSummary> choose_by_target(const Repository& repository,
                                                  const std::vector<BackupSummary>& backups,
                                                  repository::ArchiveId current)
    {
        for (const repository::ArchiveId id : clusters_to_search(backups, current)) {
            std::vector<BackupSummary> candidates;
            std::ranges::copy_if(backups,
                                 std::back_inserter(candidates),
                                 [&](const BackupSummary& each) { return each.archive_id == id; });
            turn_to_cluster(repository, id);
            const BackupSummary* const chosen =
                repository::choose_backup(candidates, options_.target, chosen_.tree);
            if (chosen != nullptr) {
                return *chosen;
            }
            check_timeline_is_the_reason(candidates);
        }
        return std::nullopt;
    }

    std::optional<BackupSummary> find_named(const Repository& repository,
                                            const std::vector<BackupSummary>& backups)
    {
        const auto found = std::ranges::find(backups, options_.set, &BackupSummary::label);
        if (found == backups.end()) {
            return std::nullopt;
        }
        turn_to_cluster(repository, found->archive_id);
        return *found;
    }

    bool choose_backup_in(const RestoreSource& source)
    {
        const Repository& repository = *source.repository;
        const repository::Cluster current = current_cluster(repository, options_.stanza);
        const auto backups = repository::list_backups(
            repository, options_.stanza, repository::warn_of_unreadable_backup);
        const auto chosen = options_.set.empty() ? choose_by_target(repository, backups, current.id)
                                                 : find_named(repository, backups);
        if (!chosen) {
            return false;
        }
        chosen_.summary = *chosen;
        chosen_.repository = &repository;
        chosen_.repo_index = source.index;
        check_histories();
        return true;
    }

    repository::Cluster read_known_cluster(const Repository& repository,
                                           repository::ArchiveId id) const
    {
        const auto found = repository::read_cluster(repository, options_.stanza, id);
        if (!found) {
            raise(ErrorCode::file_missing,
                  "the archive does not know the cluster {}, which has a backup",
                  repository::to_string(id));
        }
        return *found;
    }

    const RestoreOptions& options_;
    const std::vector<RestoreSource>& sources_;
    ChosenBackup chosen_;
    DamagedHistories damaged_; // of the archives that chosen_.tree is of
};

} // namespace

ChosenBackup choose_restored_backup(const RestoreOptions& options,
                                    const std::vector<RestoreSource>& sources)
{
    return BackupChoice(options, sources).choose();
}

} // namespace pgstrata::engine
