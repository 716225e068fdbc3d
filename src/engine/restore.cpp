// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore.hpp"

#include "engine/recovery_check.hpp"
#include "engine/restore_choice.hpp"
#include "engine/restore_tree.hpp"

#include "pgstrata/engine/place.hpp"
#include "pgstrata/engine/restore_clean.hpp"
#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace pgstrata::engine {

namespace {

using repository::Manifest;
using repository::ManifestFile;
using repository::RecoveryType;

constexpr std::string_view kAutoConf = "postgresql.auto.conf";
constexpr std::array<std::string_view, 2> kSignals = {"recovery.signal", "standby.signal"};

class RestoreRun : NonCopyable {
public:
    RestoreRun(const RestoreOptions& options, const std::vector<RestoreSource>& sources)
        : options_(options), sources_(sources), settings_(options.settings)
    {
    }

    RestoreReport run(const Progress::Report& report)
    {
        check_not_running(options_.layout.data_directory);
        chosen_ = choose_restored_backup(options_, sources_);
        read_manifest();
        layout_.emplace(options_.layout, manifest_);
        owners_.emplace(manifest_, options_.layout.data_directory);
        settings_ = plan_recovery({options_,
                                   *chosen_.repository,
                                   chosen_.cluster,
                                   chosen_.tree,
                                   chosen_.summary,
                                   manifest_});
        prepare_target();
        make_tree(manifest_, *layout_, *owners_);
        const std::uint64_t bytes = bytes_of_files();
        const PlaceReport placed = place(bytes, report);
        write_recovery_files();
        finish();
        return {.label = chosen_.summary.label,
                .repo_index = chosen_.repo_index,
                .bytes = bytes,
                .bytes_compared = placed.bytes_compared,
                .bytes_kept = placed.bytes_kept,
                .bytes_fetched = placed.bytes_fetched,
                .files = manifest_.files.size(),
                .is_delta = reuse_ != Reuse::nothing};
    }

private:
    const std::string& data_directory() const { return options_.layout.data_directory; }
    std::string in_data_directory(std::string_view path) const
    {
        return layout_->physical_path(path);
    }

    // pg_control is written last and read first: a restore must not find out at its end that there
    // is none.
    void read_manifest()
    {
        manifest_ =
            repository::read_manifest(*chosen_.repository, options_.stanza, chosen_.summary.label);
        if (manifest_.directories.empty() || !manifest_.directories.front().path.empty()) {
            raise(ErrorCode::format, "backup {} has no data directory", chosen_.summary.label);
        }
        const ManifestFile& file = control_file();
        control_bytes_ = read_small_file(*chosen_.repository, options_.stanza, manifest_, file);
        if (chosen_.summary.is_online) {
            control_bytes_ =
                postgres::poison_control_file(control_bytes_, chosen_.summary.archive_id.major);
        }
    }

    const ManifestFile& control_file() const
    {
        const auto file = std::ranges::lower_bound(
            manifest_.files, postgres::kControlFilePath, {}, &ManifestFile::path);
        if (file == manifest_.files.end() || file->path != postgres::kControlFilePath) {
            raise(ErrorCode::file_missing,
                  "backup {} has no {}",
                  chosen_.summary.label,
                  postgres::kControlFilePath);
        }
        return *file;
    }

    void prepare_target()
    {
        const ReplaceOptions counting = prepare_roots(
            *layout_, {.is_forced = options_.is_forced, .is_delta = options_.is_delta});
        reuse_ = choose_reuse(counting);
        if (settings_.type == RecoveryType::preserve) {
            for (const std::string_view name : {kAutoConf, kSignals[0], kSignals[1]}) {
                if (::access(join_path(data_directory(), name).c_str(), F_OK) == 0) {
                    kept_.emplace_back(name);
                }
            }
        }
        if (reuse_ == Reuse::nothing) {
            clear_roots(*layout_, kept_);
            write_marker();
        } else {
            remove_control_files(*layout_);
            write_marker();
            clean_roots(*layout_, manifest_, kept_);
        }
    }

    // After a restore that was cut off, perhaps by the host, a file may have its size and time but
    // not yet its contents.
    Reuse choose_reuse(const ReplaceOptions& counting) const
    {
        if (!counting.is_delta) {
            return Reuse::nothing;
        }
        const bool was_cut_off = ::access(marker().c_str(), F_OK) == 0;
        return counting.is_forced && !was_cut_off ? Reuse::times : Reuse::contents;
    }

    std::string marker() const { return join_path(data_directory(), kRestoreMarker); }

    // Not through a temporary name: cut off there, that would be in the way of the next try.
    void write_marker() const
    {
        const std::string note = fmt::format(
            "pgstrata is restoring backup {} into this directory\n", chosen_.summary.label);
        FileDescriptor file = open_file(marker(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        write_fully(file.get(), as_bytes(note), marker());
        sync_file(file.get(), marker());
        file.close(marker());
        sync_directory(data_directory());
    }

    std::uint64_t bytes_of_files() const
    {
        std::uint64_t total = 0;
        for (const ManifestFile& file : manifest_.files) {
            total += file.size;
        }
        return total;
    }

    PlaceReport place(std::uint64_t total, const Progress::Report& report)
    {
        Progress progress(total, report);
        PlaceOptions place;
        place.stanza = options_.stanza;
        place.workers = options_.workers;
        place.reuse = reuse_;
        place.owner = [this](std::uint16_t user, std::uint16_t group) {
            return owners_->find(user, group);
        };
        std::vector<std::string> skip = kept_;
        skip.emplace_back(postgres::kControlFilePath);
        return place_files(place, *chosen_.repository, manifest_, *layout_, skip, progress);
    }

    void write_small(std::string_view name, ByteView bytes) const
    {
        const repository::ManifestDirectory& root = manifest_.directories.front();
        const std::string path = in_data_directory(name);
        write_file_durably(path, bytes, root.mode & 0640U);
        owners_->give(path, root.user, root.group);
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
        sync_roots();
        const ManifestFile& file = control_file();
        const std::string path = in_data_directory(postgres::kControlFilePath);
        write_file_durably(path, control_bytes_, file.mode);
        owners_->give(path, file.user, file.group);
        if (::unlink(marker().c_str()) != 0) {
            raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", marker()));
        }
        sync_directory(data_directory());
    }

    const RestoreOptions& options_;
    const std::vector<RestoreSource>& sources_;
    RecoverySettings settings_;
    ChosenBackup chosen_;
    Manifest manifest_;
    Buffer control_bytes_;
    std::optional<RestoreLayout> layout_;
    std::optional<Owners> owners_;
    Reuse reuse_ = Reuse::nothing;
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
