// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_plan.hpp"

#include "engine/pack_check.hpp"
#include "engine/recovery_check.hpp"
#include "engine/restore_choice.hpp"

#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace pgstrata::engine {

namespace {

using repository::ManifestFile;
using repository::RecoveryType;

constexpr std::array<std::string_view, 3> kRecoveryFiles = {
    "postgresql.auto.conf", "recovery.signal", "standby.signal"};

class RestorePlanner : NonCopyable {
public:
    RestorePlanner(const RestoreOptions& options,
                   const std::vector<RestoreSource>& sources,
                   OnProblem on_problem)
        : options_(options), sources_(sources), on_problem_(on_problem)
    {
    }

    RestorePlan make()
    {
        attempt([&] { check_not_running(options_.layout.data_directory); });
        try {
            choose();
        } catch (const Error&) {
            if (!plan_.problems.empty()) {
                throw Error(plan_.problems.front());
            }
            throw;
        }
        // What is to be replaced must not be gone when it turns out that there is nothing for it.
        attempt([&] { check_packs(*plan_.repository, options_.stanza, plan_.manifest.packs); });
        plan_recovery_to_target();
        if (attempt([&] { check_target(); })) {
            plan_.survey.emplace(
                survey_target(*plan_.layout, plan_.manifest, plan_.kept, plan_.reuse));
            attempt([&] { check_changeable(*plan_.survey); });
            attempt([&] { check_space(); });
        }
        return std::move(plan_);
    }

private:
    template <typename Action>
    bool attempt(const Action& action)
    {
        try {
            action();
            return true;
        } catch (const Error& error) {
            if (on_problem_ == OnProblem::fail || error.code() == ErrorCode::terminated) {
                throw;
            }
            plan_.problems.push_back(error);
            return false;
        }
    }

    void choose()
    {
        ChosenBackup chosen = choose_restored_backup(options_, sources_);
        plan_.repository = chosen.repository;
        plan_.repo_index = chosen.repo_index;
        plan_.backup = std::move(chosen.summary);
        plan_.cluster = chosen.cluster;
        archives_ = std::move(chosen.archives);
        tree_ = std::move(chosen.tree);
        read_manifest();
        plan_.layout.emplace(options_.layout, plan_.manifest);
    }

    // pg_control is written last and read first: a restore must not find out at its end that there
    // is none.
    void read_manifest()
    {
        const std::string& label = plan_.backup.label;
        plan_.manifest = repository::read_manifest(*plan_.repository, options_.stanza, label);
        const auto& directories = plan_.manifest.directories;
        if (directories.empty() || !directories.front().path.empty()) {
            raise(ErrorCode::format, "backup {} has no data directory", label);
        }
        const auto& files = plan_.manifest.files;
        const auto file =
            std::ranges::lower_bound(files, postgres::kControlFilePath, {}, &ManifestFile::path);
        if (file == files.end() || file->path != postgres::kControlFilePath) {
            raise(
                ErrorCode::file_missing, "backup {} has no {}", label, postgres::kControlFilePath);
        }
        plan_.control_bytes =
            read_small_file(*plan_.repository, options_.stanza, plan_.manifest, *file);
        if (plan_.backup.is_online) {
            plan_.control_bytes =
                postgres::poison_control_file(plan_.control_bytes, plan_.backup.archive_id.major);
        } else {
            find_end_of_offline_backup();
        }
    }

    // Recovery begins with the checkpoint of the shutdown, which must itself be on its way.
    void find_end_of_offline_backup()
    {
        const postgres::ControlFile control =
            postgres::parse_control_file(plan_.control_bytes, plan_.backup.archive_id.major);
        plan_.backup.start_lsn = control.checkpoint_redo;
        plan_.backup.stop_lsn =
            std::max(postgres::Lsn{control.checkpoint.value + 1}, control.min_recovery_point);
    }

    void plan_recovery_to_target()
    {
        const RecoveryInputs inputs{
            options_, archives_, plan_.cluster, tree_, plan_.backup, plan_.manifest};
        RecoveryPlan& recovery = plan_.recovery;
        attempt([&] { plan_recovery(inputs, recovery); });
        if (on_problem_ == OnProblem::go_on && recovery.window && !recovery.newest_commit) {
            attempt([&] { recovery.newest_commit = find_newest_commit(inputs, *recovery.window); });
        }
    }

    void check_target()
    {
        const ReplaceOptions counting = check_roots(
            *plan_.layout, {.is_forced = options_.is_forced, .is_delta = options_.is_delta});
        plan_.reuse = choose_reuse(counting);
        if (plan_.recovery.settings.type != RecoveryType::preserve) {
            return;
        }
        for (const std::string_view name : kRecoveryFiles) {
            if (::access(join_path(options_.layout.data_directory, name).c_str(), F_OK) == 0) {
                plan_.kept.emplace_back(name);
            }
        }
    }

    // The bytes of what is replaced count as free, so a restore that fits is never refused.
    void check_space() const
    {
        for (const TargetFilesystem& filesystem : plan_.survey->filesystems) {
            if (filesystem.is_enough()) {
                continue;
            }
            const std::string text = fmt::format(
                "no space left for the restore on the filesystem of '{}': {} are needed, {} are "
                "free and {} are taken by what is replaced",
                filesystem.path,
                format_size(filesystem.needed),
                format_size(filesystem.free),
                format_size(filesystem.reused));
            if (filesystem.is_exact && !options_.is_forced) {
                throw Error(ErrorCode::file_write,
                            text,
                            "make room, restore to another place with --pg1-path or "
                            "--tablespace-map, or use --force to try all the same");
            }
            log::warn("{}", text);
        }
    }

    // After a restore that was cut off, perhaps by the host, a file may have its size and time but
    // not yet its contents.
    Reuse choose_reuse(const ReplaceOptions& counting) const
    {
        if (!counting.is_delta) {
            return Reuse::nothing;
        }
        const std::string marker = join_path(options_.layout.data_directory, kRestoreMarker);
        const bool was_cut_off = ::access(marker.c_str(), F_OK) == 0;
        return counting.is_forced && !was_cut_off ? Reuse::times : Reuse::contents;
    }

    const RestoreOptions& options_;
    const std::vector<RestoreSource>& sources_;
    OnProblem on_problem_;
    std::vector<WalPlace> archives_;
    repository::TimelineTree tree_;
    RestorePlan plan_;
};

} // namespace

RestorePlan plan_restore(const RestoreOptions& options,
                         const std::vector<RestoreSource>& sources,
                         OnProblem on_problem)
{
    return RestorePlanner(options, sources, on_problem).make();
}

} // namespace pgstrata::engine
