// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/copy.hpp"

#include "engine/copy_state.hpp"
#include "engine/frame_packer.hpp"
#include "engine/page_file_copier.hpp"
#include "engine/whole_file_copier.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::ManifestFile;

constexpr std::uint64_t kWorthwhileInterval = 2000; // milliseconds

class CopyWorker : NonCopyable {
public:
    CopyWorker(CopyState& state, repository::PackSet& packs)
        : state_(state), packer_(packs, state.manifest, state.options.compress_level),
          whole_files_(state, packer_), page_files_(state, packer_, packs)
    {
        if (state.options.journal) {
            packer_.keep_journal(*state.options.journal);
        }
    }

    // Worker 0 runs on the caller's thread and is the one that may use what the caller owns.
    void run(std::size_t worker, const std::stop_token& token)
    {
        const std::vector<CopyUnit>& units = state_.plan.units;
        for (std::size_t i = state_.next_unit++; i < units.size(); i = state_.next_unit++) {
            if (token.stop_requested()) {
                return;
            }
            check_cancelled();
            if (worker == 0) {
                check_worthwhile();
            }
            copy(units[i]);
            packer_.end_unit();
        }
        packer_.finish();
    }

private:
    void check_worthwhile()
    {
        const std::uint64_t now = monotonic_milliseconds();
        if (state_.options.check_worthwhile && now - worthwhile_checked_ >= kWorthwhileInterval) {
            worthwhile_checked_ = now;
            state_.options.check_worthwhile();
        }
    }

    void copy(const CopyUnit& unit)
    {
        const ManifestFile& file = state_.manifest.files[unit.file];
        const std::uint64_t planned = file.size;
        if (file.content == ContentKind::whole) {
            whole_files_.copy(unit.file);
        } else if (file.size < kSmallFileSize) {
            page_files_.copy_small(unit.file);
        } else {
            page_files_.copy_part(unit);
            return;
        }
        state_.progress.add(planned);
        report_copied(state_, file);
    }

    CopyState& state_;
    FramePacker packer_;
    WholeFileCopier whole_files_;
    PageFileCopier page_files_;
    std::uint64_t worthwhile_checked_ = monotonic_milliseconds();
};

} // namespace

CopyResult copy_files(const CopyOptions& options,
                      const BackupPlan& plan,
                      repository::Manifest& manifest,
                      repository::PackSet& packs,
                      Progress& progress)
{
    CopyState state(options, plan, manifest, progress);
    run_workers(options.workers, [&](std::size_t worker, const std::stop_token& token) {
        log::set_process_number(static_cast<unsigned>(worker + 1));
        CopyWorker(state, packs).run(worker, token);
        log::set_process_number(0);
    });
    return {{state.is_vanished.begin(), state.is_vanished.end()}, state.read, state.stored};
}

void remove_vanished(repository::Manifest& manifest, const std::vector<bool>& vanished)
{
    std::size_t kept = 0;
    for (std::size_t i = 0; i < manifest.files.size(); ++i) {
        if (vanished[i]) {
            log::detail("skip file removed during the backup {}", manifest.files[i].path);
            continue;
        }
        if (kept != i) {
            manifest.files[kept] = std::move(manifest.files[i]);
        }
        ++kept;
    }
    manifest.files.resize(kept);
}

} // namespace pgstrata::engine
