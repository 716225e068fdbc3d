// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore.hpp"

#include "engine/restore_sync.hpp"
#include "engine/restore_tree.hpp"

#include "pgstrata/engine/place.hpp"
#include "pgstrata/engine/restore_clean.hpp"
#include "pgstrata/engine/restore_plan.hpp"
#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace pgstrata::engine {

namespace {

using repository::Manifest;
using repository::ManifestFile;
using repository::RecoveryType;

constexpr std::string_view kAutoConf = "postgresql.auto.conf";

class RestoreRun : NonCopyable {
public:
    RestoreRun(const RestoreOptions& options, const RestorePlan& plan)
        : options_(options), plan_(plan), manifest_(plan.manifest), layout_(*plan.layout),
          owners_(plan.manifest, options.layout.data_directory)
    {
    }

    RestoreReport run(const Progress::Report& report)
    {
        clear_target();
        const DirectoryModes directories = make_tree(manifest_, layout_, owners_);
        const RestoreFilesystems filesystems(directories);
        const std::uint64_t bytes = bytes_of_files();
        const PlaceReport placed = place(bytes, report);
        write_recovery_files();
        sync_directories(directories);
        close_tree(directories, layout_);
        finish(filesystems);
        return {.label = plan_.backup.label,
                .repo_index = plan_.repo_index,
                .bytes = bytes,
                .bytes_compared = placed.bytes_compared,
                .bytes_kept = placed.bytes_kept,
                .bytes_fetched = placed.bytes_fetched,
                .files = manifest_.files.size(),
                .is_delta = plan_.reuse != Reuse::nothing};
    }

private:
    const std::string& data_directory() const { return options_.layout.data_directory; }
    const RecoverySettings& settings() const { return plan_.recovery.settings; }
    std::string in_data_directory(std::string_view path) const
    {
        return layout_.physical_path(path);
    }

    const ManifestFile& control_file() const
    {
        return *std::ranges::lower_bound(
            manifest_.files, postgres::kControlFilePath, {}, &ManifestFile::path);
    }

    void clear_target() const
    {
        make_roots(layout_);
        if (plan_.reuse == Reuse::nothing) {
            clear_roots(layout_, plan_.kept);
            write_marker();
        } else {
            remove_control_files(layout_);
            write_marker();
            clean_roots(layout_, manifest_, plan_.kept);
        }
    }

    std::string marker() const { return join_path(data_directory(), kRestoreMarker); }

    // Not through a temporary name: cut off there, that would be in the way of the next try.
    void write_marker() const
    {
        const std::string note = fmt::format(
            "pgstrata is restoring backup {} into this directory\n", plan_.backup.label);
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
        place.reuse = plan_.reuse;
        place.sync = file_sync_;
        place.owner = [this](std::uint16_t user, std::uint16_t group) {
            return owners_.find(user, group);
        };
        std::vector<std::string> skip = plan_.kept;
        skip.emplace_back(postgres::kControlFilePath);
        return place_files(place, *plan_.repository, manifest_, layout_, skip, progress);
    }

    void write_small(std::string_view name, ByteView bytes) const
    {
        const repository::ManifestDirectory& root = manifest_.directories.front();
        const std::string path = in_data_directory(name);
        write_file_durably(path, bytes, root.mode & 0640U);
        owners_.give(path, root.user, root.group);
    }

    void write_recovery_files()
    {
        if (!manifest_.header.backup_label.empty()) {
            write_small("backup_label", as_bytes(manifest_.header.backup_label));
        }
        if (settings().type == RecoveryType::preserve) {
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
            render_auto_conf(existing, settings(), format_local_time(now_seconds()));
        if (text != existing) {
            log::info("write updated {}", join_path(data_directory(), kAutoConf));
            write_small(kAutoConf, as_bytes(text));
        }
        if (const std::string_view signal = signal_file(settings().type); !signal.empty()) {
            write_small(signal, {});
        }
    }

    void sync_directories(const DirectoryModes& directories) const
    {
        if (file_sync_ == FileSync::each) {
            for (const auto& [path, mode] : directories) {
                sync_directory(path);
            }
        }
    }

    void sync_all(const RestoreFilesystems& filesystems) const
    {
        filesystems.sync();
        for (const RestoredLink& link : layout_.links()) {
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
    void finish(const RestoreFilesystems& filesystems)
    {
        log::info("restore global/pg_control (performed last to ensure aborted restores cannot be "
                  "started)");
        sync_all(filesystems);
        const ManifestFile& file = control_file();
        const std::string path = in_data_directory(postgres::kControlFilePath);
        write_file_durably(path, plan_.control_bytes, file.mode);
        owners_.give(path, file.user, file.group);
        if (::unlink(marker().c_str()) != 0) {
            raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", marker()));
        }
        sync_directory(data_directory());
    }

    const RestoreOptions& options_;
    const RestorePlan& plan_;
    const Manifest& manifest_;
    const RestoreLayout& layout_;
    Owners owners_;
    const FileSync file_sync_ = file_sync_for(kernel_release());
};

} // namespace

RestoreReport
carry_out(const RestoreOptions& options, const RestorePlan& plan, const Progress::Report& report)
{
    return RestoreRun(options, plan).run(report);
}

} // namespace pgstrata::engine
