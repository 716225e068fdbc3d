// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore.hpp"

#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/place.hpp"
#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace pgstrata::engine {

namespace {

using repository::BackupSummary;
using repository::Manifest;
using repository::ManifestFile;
using repository::RecoveryType;
using repository::Repository;

constexpr std::string_view kAutoConf = "postgresql.auto.conf";
constexpr std::string_view kSignals[] = {"recovery.signal", "standby.signal"};
// How many of the newest segments are looked at for the last commit before a time target is let
// through unproved.
constexpr std::size_t kCommitSearchDepth = 16;

// Where a name of the manifest leads on this host. Only root can give files away.
class Owners {
public:
    Owners(const Manifest& manifest, const std::string& data_directory)
    {
        if (::geteuid() != 0) {
            return;
        }
        struct stat status {};
        const bool is_there = ::stat(data_directory.c_str(), &status) == 0;
        for (const std::string& name : manifest.names) {
            const passwd* user = ::getpwnam(name.c_str());
            const group* group = ::getgrnam(name.c_str());
            users_.push_back(user != nullptr ? user->pw_uid : is_there ? status.st_uid : 0);
            groups_.push_back(group != nullptr ? group->gr_gid : is_there ? status.st_gid : 0);
        }
    }

    std::pair<std::uint32_t, std::uint32_t> find(std::uint16_t user, std::uint16_t group) const
    {
        return users_.empty() ? std::pair(~0U, ~0U) : std::pair(users_.at(user), groups_.at(group));
    }

private:
    std::vector<std::uint32_t> users_;
    std::vector<std::uint32_t> groups_;
};

class RestoreRun : NonCopyable {
public:
    RestoreRun(const RestoreOptions& options, const std::vector<RestoreSource>& sources)
        : options_(options), sources_(sources), settings_(options.settings)
    {
    }

    RestoreReport run(const Progress::Report& report)
    {
        check_not_running(options_.layout.data_directory);
        choose_backup();
        manifest_ = repository::read_manifest(*repository_, options_.stanza, backup_.label);
        layout_.emplace(options_.layout, manifest_);
        owners_.emplace(manifest_, options_.layout.data_directory);
        plan_recovery();
        prepare_target();
        make_tree();
        const std::uint64_t bytes = place(report);
        write_recovery_files();
        finish();
        return {backup_.label, repo_index_, bytes, manifest_.files.size()};
    }

private:
    const std::string& data_directory() const { return options_.layout.data_directory; }
    std::string in_data_directory(std::string_view path) const
    {
        return layout_->physical_path(path);
    }

    void choose_backup()
    {
        std::string failures;
        for (const RestoreSource& source : sources_) {
            try {
                if (choose_backup_in(source)) {
                    log::info("repo{}: restore backup set {}, recovery will start at {}",
                              repo_index_,
                              backup_.label,
                              format_local_time(backup_.start_time));
                    return;
                }
            } catch (const Error& error) {
                if (sources_.size() == 1 || error.code() == ErrorCode::backup_set_invalid) {
                    throw;
                }
                log::warn("repo{}: [{:03}] {}", source.index, error.exit_status(), error.what());
                failures += fmt::format(
                    "\nrepo{}: [{:03}] {}", source.index, error.exit_status(), error.what());
            }
        }
        raise_no_backup(failures);
    }

    [[noreturn]] void raise_no_backup(const std::string& failures) const
    {
        if (!options_.set.empty()) {
            throw Error(ErrorCode::backup_set_invalid,
                        fmt::format("backup set {} is not valid{}", options_.set, failures),
                        "info lists the backups that can be restored");
        }
        const bool has_target =
            options_.target.type == RecoveryType::time || options_.target.type == RecoveryType::lsn;
        throw Error(ErrorCode::backup_set_invalid,
                    has_target
                        ? fmt::format("unable to find backup set with a stop before target '{}'{}",
                                      options_.settings.target,
                                      failures)
                        : fmt::format("no backup set found to restore{}", failures),
                    has_target ? "choose a later target, or a backup of another repository" : "");
    }

    bool choose_backup_in(const RestoreSource& source)
    {
        const Repository& repository = *source.repository;
        const repository::Cluster cluster = current_cluster(repository, options_.stanza);
        const auto backups = repository::list_backups(repository, options_.stanza);
        tree_ = read_timeline_tree(repository, options_.stanza, cluster.id);
        const BackupSummary* chosen = nullptr;
        if (options_.set.empty()) {
            chosen = repository::choose_backup(backups, options_.target, tree_);
            if (chosen != nullptr && chosen->archive_id != cluster.id) {
                throw Error(
                    ErrorCode::backup_set_invalid,
                    fmt::format("the latest backup set {} is from a prior version of PostgreSQL",
                                chosen->label),
                    "was a backup taken after the upgrade? specify --set to restore an older "
                    "backup");
            }
        } else {
            const auto found = std::ranges::find(backups, options_.set, &BackupSummary::label);
            chosen = found != backups.end() ? &*found : nullptr;
        }
        if (chosen == nullptr) {
            return false;
        }
        backup_ = *chosen;
        repository_ = &repository;
        repo_index_ = source.index;
        for (const repository::Cluster& known :
             repository::list_clusters(repository, options_.stanza)) {
            if (known.id == backup_.archive_id) {
                cluster_ = known;
            }
        }
        if (cluster_.id != cluster.id) {
            tree_ = read_timeline_tree(repository, options_.stanza, cluster_.id);
        }
        return true;
    }

    bool is_recovering() const
    {
        return settings_.type != RecoveryType::none && settings_.type != RecoveryType::preserve;
    }

    // Everything that would make recovery fail later is said now, before the target is touched.
    void plan_recovery()
    {
        if (!backup_.is_online) {
            if (settings_.type == RecoveryType::standard) {
                settings_.type = RecoveryType::none;
            }
            return;
        }
        if (!is_recovering()) {
            return;
        }
        const postgres::Timeline timeline =
            repository::choose_timeline(backup_, options_.target, tree_);
        set_target_timeline(timeline);
        const auto path = repository::wal_path(backup_, timeline, tree_, cluster_.wal_segment_size);
        const WalWindow window = find_wal_window(
            *repository_, options_.stanza, backup_, path, cluster_.wal_segment_size);
        check_backup_wal(window);
        if (window.gap) {
            log::warn("WAL segment {} is missing from the archive though later ones are there: "
                      "recovery cannot go "
                      "beyond it",
                      postgres::to_string(*window.gap, cluster_.wal_segment_size));
        }
        if (settings_.type == RecoveryType::time) {
            check_time_target(window);
        } else if (settings_.type == RecoveryType::lsn) {
            check_lsn_target(window);
        }
    }

    // The default of the server takes the newest history file there is, even a clone's: the number
    // that was checked is written. A standby has to follow whatever its primary does.
    void set_target_timeline(postgres::Timeline timeline)
    {
        const bool is_given = options_.target.follow == repository::RecoveryTarget::Follow::number;
        if (settings_.type == RecoveryType::standby && !is_given) {
            const bool is_current =
                options_.target.follow == repository::RecoveryTarget::Follow::current;
            settings_.target_timeline = is_current ? "current" : "";
            return;
        }
        // The server wants the history file of any number but 1.
        settings_.target_timeline =
            timeline == 1 || tree_.contains(timeline) ? std::to_string(timeline) : "current";
    }

    bool has_own_wal() const
    {
        const auto at = std::ranges::lower_bound(
            manifest_.files, "pg_wal/" + backup_.stop_wal, {}, &ManifestFile::path);
        return at != manifest_.files.end() && at->path == "pg_wal/" + backup_.stop_wal;
    }

    // Somebody else's restore_command may find WAL where we do not look.
    bool uses_our_archive() const
    {
        return std::ranges::none_of(settings_.options, [](const auto& option) {
            return option.first == "restore_command" || option.first == "restore-command";
        });
    }

    void check_backup_wal(const WalWindow& window) const
    {
        if (window.has_backup_wal || has_own_wal() || !uses_our_archive()) {
            return;
        }
        throw Error(ErrorCode::file_missing,
                    fmt::format("backup {} cannot become consistent: the archive does not have all "
                                "WAL from {} to {}",
                                backup_.label,
                                backup_.start_wal,
                                backup_.stop_wal),
                    "choose another backup with --set, or --type=none to recover by other means");
    }

    void check_time_target(const WalWindow& window) const
    {
        if (!uses_our_archive()) {
            return;
        }
        const auto newest = newest_transaction_end(
            *repository_, options_.stanza, cluster_, window, kCommitSearchDepth);
        if (!newest) {
            log::warn("the newest WAL in the archive holds no commit: whether the target time can "
                      "be reached is not "
                      "known");
            return;
        }
        const bool is_within = options_.target.is_exclusive ? *newest >= options_.target.time
                                                            : *newest > options_.target.time;
        if (!is_within) {
            throw Error(
                ErrorCode::backup_set_invalid,
                fmt::format(
                    "target time '{}' cannot be reached: the last commit in the archive is of {}",
                    settings_.target,
                    format_timestamp_microseconds(*newest)),
                "recovery would fail; choose an earlier time, or --type=default to recover all "
                "there is");
        }
    }

    void check_lsn_target(const WalWindow& window) const
    {
        const auto wanted =
            postgres::segment_of(backup_.timeline, options_.target.lsn, cluster_.wal_segment_size)
                .number;
        if (uses_our_archive() &&
            (window.segments.empty() || window.segments.back().number < wanted)) {
            throw Error(
                ErrorCode::backup_set_invalid,
                fmt::format(
                    "target lsn '{}' cannot be reached: the archive ends with WAL segment {}",
                    settings_.target,
                    window.segments.empty()
                        ? "(none)"
                        : postgres::to_string(window.segments.back(), cluster_.wal_segment_size)),
                "recovery would fail; choose an earlier lsn, or --type=default to recover all "
                "there is");
        }
    }

    void prepare_target()
    {
        prepare_roots(*layout_, options_.is_forced);
        if (settings_.type == RecoveryType::preserve) {
            for (const std::string_view name : {kAutoConf, kSignals[0], kSignals[1]}) {
                if (::access(join_path(data_directory(), name).c_str(), F_OK) == 0) {
                    kept_.emplace_back(name);
                }
            }
        }
        clear_roots(*layout_, kept_);
        const std::string note =
            fmt::format("pgstrata is restoring backup {} into this directory\n", backup_.label);
        write_file_durably(join_path(data_directory(), kRestoreMarker), as_bytes(note), 0600);
    }

    void make_directory(const std::string& path,
                        std::uint32_t mode,
                        std::uint16_t user,
                        std::uint16_t group) const
    {
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
            raise_errno(ErrorCode::path_create, errno, fmt::format("create directory '{}'", path));
        }
        if (::chmod(path.c_str(), mode) != 0) {
            raise_errno(ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", path));
        }
        give(path, user, group);
    }

    void give(const std::string& path, std::uint16_t user, std::uint16_t group) const
    {
        const auto [uid, gid] = owners_->find(user, group);
        if (uid != ~0U && ::lchown(path.c_str(), uid, gid) != 0) {
            raise_errno(ErrorCode::file_owner, errno, fmt::format("set the owner of '{}'", path));
        }
    }

    // Directories and links in one pass by path, so that each finds its parent.
    void make_tree()
    {
        struct Step {
            std::string path;
            std::function<void()> make;
        };
        std::vector<Step> steps;
        for (const auto& directory : manifest_.directories) {
            const bool is_link =
                std::ranges::any_of(layout_->links(), [&](const RestoredLink& link) {
                    return link.path == directory.path;
                });
            if (!is_link) {
                steps.push_back({directory.path, [this, &directory] {
                                     make_directory(in_data_directory(directory.path),
                                                    directory.mode,
                                                    directory.user,
                                                    directory.group);
                                 }});
            }
        }
        for (const auto& link : layout_->plain()) {
            if (link.is_directory) {
                steps.push_back({link.path, [this, &link] {
                                     make_directory(in_data_directory(link.path),
                                                    link.mode,
                                                    link.user,
                                                    link.group);
                                 }});
            }
        }
        for (const RestoredLink& link : layout_->links()) {
            steps.push_back({link.path, [this, &link] { make_link(link); }});
        }
        std::ranges::stable_sort(steps, {}, &Step::path);
        for (const Step& step : steps) {
            step.make();
        }
    }

    void make_link(const RestoredLink& link) const
    {
        if (link.is_directory) {
            make_directory(link.target, link.mode, link.user, link.group);
        }
        const std::string parent = parent_path(link.path);
        const std::string place = join_path(
            parent.empty() ? data_directory() : in_data_directory(parent), file_name(link.path));
        if (::symlink(link.destination.c_str(), place.c_str()) != 0) {
            raise_errno(ErrorCode::link_destination, errno, fmt::format("create link '{}'", place));
        }
        give(place, link.user, link.group);
    }

    std::uint64_t place(const Progress::Report& report)
    {
        std::uint64_t total = 0;
        for (const ManifestFile& file : manifest_.files) {
            total += file.size;
        }
        Progress progress(total, report);
        PlaceOptions place;
        place.stanza = options_.stanza;
        place.workers = options_.workers;
        place.owner = [this](std::uint16_t user, std::uint16_t group) {
            return owners_->find(user, group);
        };
        std::vector<std::string> skip = kept_;
        skip.emplace_back(postgres::kControlFilePath);
        place_files(place, *repository_, manifest_, *layout_, skip, progress);
        return total;
    }

    void write_small(std::string_view name, ByteView bytes) const
    {
        const repository::ManifestDirectory& root = manifest_.directories.front();
        const std::string path = in_data_directory(name);
        write_file_durably(path, bytes, root.mode & 0640U);
        give(path, root.user, root.group);
    }

    void write_recovery_files()
    {
        if (!manifest_.header.backup_label.empty()) {
            write_small("backup_label", as_bytes(manifest_.header.backup_label));
        }
        if (settings_.type == RecoveryType::preserve) {
            return;
        }
        std::string existing;
        try {
            existing = read_text_file(in_data_directory(kAutoConf));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::file_missing) {
                throw;
            }
        }
        const std::string text =
            render_auto_conf(existing, settings_, format_local_time(now_seconds()));
        if (text != existing) {
            log::info("write updated {}", join_path(data_directory(), kAutoConf));
            write_small(kAutoConf, as_bytes(text));
        }
        if (const std::string_view signal = signal_file(settings_.type); !signal.empty()) {
            write_small(signal, {});
        }
    }

    void sync_roots() const
    {
        for (const std::string& root : layout_->roots()) {
            const FileDescriptor directory = open_file(root, O_RDONLY | O_DIRECTORY);
            if (::syncfs(directory.get()) != 0) {
                raise_errno(
                    ErrorCode::file_sync, errno, fmt::format("sync the filesystem of '{}'", root));
            }
        }
        for (const RestoredLink& link : layout_->links()) {
            if (!link.is_directory) {
                const FileDescriptor file = open_file(link.target, O_RDONLY);
                sync_file(file.get(), link.target);
            }
        }
    }

    // All else is durable before there is a pg_control, so no crash can leave a cluster that starts
    // half-restored. That of an online backup holds a checkpoint that no WAL has: without its
    // backup_label it does not start either.
    void finish()
    {
        log::info("restore global/pg_control (performed last to ensure aborted restores cannot be "
                  "started)");
        const std::string marker = join_path(data_directory(), kRestoreMarker);
        sync_roots();
        const auto file = std::ranges::lower_bound(
            manifest_.files, postgres::kControlFilePath, {}, &ManifestFile::path);
        if (file == manifest_.files.end() || file->path != postgres::kControlFilePath) {
            raise(ErrorCode::file_missing,
                  "backup {} has no {}",
                  backup_.label,
                  postgres::kControlFilePath);
        }
        Buffer bytes = read_small_file(*repository_, options_.stanza, manifest_, *file);
        if (backup_.is_online) {
            bytes = postgres::poison_control_file(bytes, backup_.archive_id.major);
        }
        const std::string path = in_data_directory(postgres::kControlFilePath);
        write_file_durably(path, bytes, file->mode);
        give(path, file->user, file->group);
        if (::unlink(marker.c_str()) != 0) {
            raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", marker));
        }
        sync_directory(data_directory());
    }

    const RestoreOptions& options_;
    const std::vector<RestoreSource>& sources_;
    RecoverySettings settings_;
    const Repository* repository_ = nullptr;
    unsigned repo_index_ = 1;
    repository::Cluster cluster_;
    repository::TimelineTree tree_;
    BackupSummary backup_;
    Manifest manifest_;
    std::optional<RestoreLayout> layout_;
    std::optional<Owners> owners_;
    std::vector<std::string> kept_;
};

} // namespace

RestoreReport restore(const RestoreOptions& options,
                      const std::vector<RestoreSource>& sources,
                      const Progress::Report& report)
{
    return RestoreRun(options, sources).run(report);
}

} // namespace pgstrata::engine
