// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore.hpp"

#include "engine/recovery_check.hpp"

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
#include <array>
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
constexpr std::array<std::string_view, 2> kSignals = {"recovery.signal", "standby.signal"};

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

// The complete backups, ascending by label. One that cannot be read must not keep the others from
// being restored.
std::vector<BackupSummary> readable_backups(const Repository& repository, const std::string& stanza)
{
    std::vector<BackupSummary> backups;
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        try {
            if (auto summary = repository::read_summary(repository, stanza, label)) {
                backups.push_back(std::move(*summary));
            }
        } catch (const Error& error) {
            log::warn("backup {} is passed over: {}", label, error.what());
        }
    }
    return backups;
}

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
        read_manifest();
        layout_.emplace(options_.layout, manifest_);
        owners_.emplace(manifest_, options_.layout.data_directory);
        settings_ = plan_recovery({options_, *repository_, cluster_, tree_, backup_, manifest_});
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

    // A backup would fit if it were not for the timeline that was asked for.
    void check_timeline_is_the_reason(const std::vector<BackupSummary>& backups) const
    {
        repository::RecoveryTarget target = options_.target;
        target.follow = repository::RecoveryTarget::Follow::newest;
        if (options_.target.follow == repository::RecoveryTarget::Follow::number &&
            repository::choose_backup(backups, target, tree_) != nullptr) {
            throw Error(ErrorCode::db_mismatch,
                        fmt::format("timeline {} cannot be reached from any backup that fits",
                                    options_.target.timeline),
                        "is its history file in the archive? without --target-timeline the newest "
                        "one is taken");
        }
    }

    bool choose_backup_in(const RestoreSource& source)
    {
        const Repository& repository = *source.repository;
        const repository::Cluster cluster = current_cluster(repository, options_.stanza);
        const auto backups = readable_backups(repository, options_.stanza);
        tree_ = read_timeline_tree(repository, options_.stanza, cluster.id);
        const BackupSummary* chosen = nullptr;
        if (options_.set.empty()) {
            chosen = repository::choose_backup(backups, options_.target, tree_);
            if (chosen == nullptr) {
                check_timeline_is_the_reason(backups);
            }
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
        cluster_ = find_cluster();
        if (cluster_.id != cluster.id) {
            tree_ = read_timeline_tree(repository, options_.stanza, cluster_.id);
        }
        return true;
    }

    repository::Cluster find_cluster() const
    {
        const auto clusters = repository::list_clusters(*repository_, options_.stanza);
        const auto found =
            std::ranges::find(clusters, backup_.archive_id, &repository::Cluster::id);
        if (found == clusters.end()) {
            raise(ErrorCode::file_missing,
                  "the archive does not know the cluster {} that backup {} is of",
                  repository::to_string(backup_.archive_id),
                  backup_.label);
        }
        return *found;
    }

    // pg_control is written last and read first: a restore must not find out at its end that there
    // is none.
    void read_manifest()
    {
        manifest_ = repository::read_manifest(*repository_, options_.stanza, backup_.label);
        if (manifest_.directories.empty() || !manifest_.directories.front().path.empty()) {
            raise(ErrorCode::format, "backup {} has no data directory", backup_.label);
        }
        const ManifestFile& file = control_file();
        control_bytes_ = read_small_file(*repository_, options_.stanza, manifest_, file);
        if (backup_.is_online) {
            control_bytes_ =
                postgres::poison_control_file(control_bytes_, backup_.archive_id.major);
        }
    }

    const ManifestFile& control_file() const
    {
        const auto file = std::ranges::lower_bound(
            manifest_.files, postgres::kControlFilePath, {}, &ManifestFile::path);
        if (file == manifest_.files.end() || file->path != postgres::kControlFilePath) {
            raise(ErrorCode::file_missing,
                  "backup {} has no {}",
                  backup_.label,
                  postgres::kControlFilePath);
        }
        return *file;
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
                sync_directory(parent_path(link.target));
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
        const ManifestFile& file = control_file();
        const std::string path = in_data_directory(postgres::kControlFilePath);
        write_file_durably(path, control_bytes_, file.mode);
        give(path, file.user, file.group);
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
    Buffer control_bytes_;
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
