// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/place.hpp"

#include "engine/page_placer.hpp"
#include "engine/place_plan.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/once.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/size.hpp"

#include <algorithm>
#include <atomic>
#include <unordered_map>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::Extent;
using repository::FilePages;
using repository::Manifest;
using repository::ManifestFile;

// What is read at once to compute a digest.
constexpr std::size_t kDigestWindow = std::size_t{256} << 10U;

// A large paged file that several workers write at once.
struct SharedTarget {
    Once opened;
    std::optional<TargetFile> file;
    bool was_there = false;
    FilePages pages; // none when the file is trusted
    std::uint32_t present = 0;
    std::atomic<std::uint64_t> fetched = 0;
    std::atomic<std::uint32_t> parts_left = 0;
};

// What all workers of one restore share.
struct PlaceState : NonCopyable {
    const PlaceOptions& options;
    const repository::Repository& repository;
    const Manifest& manifest;
    const RestoreLayout& layout;
    Progress& progress;
    PlacePlan plan;
    std::atomic<std::size_t> next_unit = 0;
    std::unordered_map<std::uint32_t, SharedTarget> shared; // filled before the workers start
    std::atomic<std::uint64_t> compared = 0;
    std::atomic<std::uint64_t> kept = 0;
    std::atomic<std::uint64_t> fetched = 0;
    CacheGauge cache{free_memory() / 2}; // what others have cached stays

    PlaceState(const PlaceOptions& place_options,
               const repository::Repository& from,
               const Manifest& what,
               const RestoreLayout& where,
               Progress& place_progress)
        : options(place_options), repository(from), manifest(what), layout(where),
          progress(place_progress)
    {
    }
};

class PlaceWorker : NonCopyable {
public:
    explicit PlaceWorker(PlaceState& state)
        : state_(state), packs_(state.repository, state.options.stanza, state.manifest.packs),
          placer_(state.repository, state.manifest, packs_)
    {
    }

    void run(const std::stop_token& token)
    {
        const PlaceUnit* unit = take();
        while (unit != nullptr && !token.stop_requested()) {
            // A bucket sends what comes next while this one is written.
            const PlaceUnit* const next = take();
            if (next != nullptr && next->is_large) {
                const ManifestFile& file = state_.manifest.files[next->large_file];
                named(file, [&] { announce_part(*next, file); });
            }
            place(*unit);
            unit = next;
        }
    }

private:
    // None when all are taken.
    const PlaceUnit* take() const
    {
        const std::size_t i = state_.next_unit++;
        return i < state_.plan.units.size() ? &state_.plan.units[i] : nullptr;
    }

    void place(const PlaceUnit& unit)
    {
        if (unit.is_large) {
            check_cancelled();
            const ManifestFile& file = state_.manifest.files[unit.large_file];
            named(file, [&] { place_part(unit, file); });
            return;
        }
        for (std::uint32_t i = unit.begin; i < unit.end; ++i) {
            check_cancelled();
            const ManifestFile& file = state_.manifest.files[state_.plan.small[i]];
            named(file, [&] { place_file(file); });
        }
    }

    // Damage in a pack says nothing of the file it hits.
    template <typename Action>
    static void named(const ManifestFile& file, const Action& action)
    {
        try {
            action();
        } catch (const Error& error) {
            throw error.within(fmt::format("restore of '{}'", file.path));
        }
    }

    std::optional<TargetFile> open_existing(const std::string& path) const
    {
        return state_.options.reuse == Reuse::nothing ? std::nullopt
                                                      : TargetFile::open_existing(path);
    }

    bool is_trusted(const TargetFile& target, const ManifestFile& file) const
    {
        return state_.options.reuse == Reuse::times &&
               is_right_by_time(
                   file, target.size(), target.mtime(), state_.manifest.header.copy_time);
    }

    void count(const PlacedBytes& placed) const
    {
        state_.compared += placed.compared;
        state_.kept += placed.kept;
        state_.fetched += placed.fetched;
    }

    void place_file(const ManifestFile& file)
    {
        const std::string path = state_.layout.physical_path(file.path);
        if (state_.layout.is_zeroed(file.path)) {
            place_zeros(path, file);
            return;
        }
        std::optional<TargetFile> target = open_existing(path);
        const bool was_there = target.has_value();
        PlacedBytes placed;
        if (was_there && is_trusted(*target, file)) {
            placed.kept = file.size;
        } else if (file.content == ContentKind::paged) {
            placed = place_pages(path, file, target);
        } else {
            placed = place_whole(path, file, target);
        }
        count(placed);
        state_.progress.add(file.size);
        finish(*target, file, file.mtime);
        log_placed(path, file, was_there ? outcome(*target, file, placed.fetched) : "");
    }

    // A later backup must not take them for the files that the manifest means.
    void place_zeros(const std::string& path, const ManifestFile& file)
    {
        std::optional<TargetFile> target = open_existing(path);
        if (target) {
            target->resize(0);
        } else {
            target = TargetFile::create(path);
        }
        target->resize(file.size);
        state_.progress.add(file.size);
        finish(*target, file, std::nullopt);
        log_placed(path, file, " zeroed");
    }

    PlacedBytes place_pages(const std::string& path,
                            const ManifestFile& file,
                            std::optional<TargetFile>& target)
    {
        const FilePages pages = placer_.find(file);
        const std::uint32_t present = target ? fit(*target, file, pages) : 0;
        if (!target) {
            target = TargetFile::create(path);
        }
        return placer_.place(*target, file.path, pages, {0, pages.count(), present});
    }

    // Cuts off what is too much; gives how many whole pages are on the disk.
    static std::uint32_t
    fit(const TargetFile& target, const ManifestFile& file, const FilePages& pages)
    {
        if (target.size() > file.size) {
            target.resize(file.size);
        }
        return static_cast<std::uint32_t>(std::min(target.size(), file.size) / pages.page_size());
    }

    PlacedBytes place_whole(const std::string& path,
                            const ManifestFile& file,
                            std::optional<TargetFile>& target)
    {
        PlacedBytes placed;
        if (target && target->size() == file.size) {
            placed.compared = file.size;
            if (file.content == ContentKind::empty || digest_of(*target) == file.digest) {
                placed.kept = file.size;
                return placed;
            }
        }
        if (!target) {
            target = TargetFile::create(path);
        } else if (target->size() > file.size) {
            target->resize(file.size);
        }
        write_whole(*target, file);
        placed.fetched = file.size;
        return placed;
    }

    codec::Digest128 digest_of(const TargetFile& target)
    {
        digest_.reset();
        window_.resize(std::min<std::uint64_t>(kDigestWindow, target.size()));
        for (std::uint64_t at = 0; at < target.size();) {
            const std::size_t size = target.read(at, window_.span());
            if (size == 0) {
                break;
            }
            digest_.update(window_.view().first(size));
            at += size;
        }
        return digest_.finish();
    }

    void write_whole(const TargetFile& target, const ManifestFile& file)
    {
        digest_.reset();
        std::uint64_t at = 0;
        for (const Extent& extent : file.extents) {
            const ByteView bytes = packs_.read(extent);
            digest_.update(bytes);
            target.write(at, bytes);
            at += bytes.size();
        }
        if (file.content == ContentKind::whole && digest_.finish() != file.digest) {
            raise(ErrorCode::checksum,
                  "file '{}' in the repository does not have the digest it was stored with",
                  file.path);
        }
    }

    SharedTarget& open_shared(const PlaceUnit& unit, const ManifestFile& file)
    {
        SharedTarget& shared = state_.shared.at(unit.large_file);
        shared.opened.run(
            [&] { open_large(shared, state_.layout.physical_path(file.path), file); });
        return shared;
    }

    void open_large(SharedTarget& shared, const std::string& path, const ManifestFile& file)
    {
        shared.file = open_existing(path);
        shared.was_there = shared.file.has_value();
        if (shared.was_there && is_trusted(*shared.file, file)) {
            return;
        }
        shared.pages = placer_.find(file);
        if (shared.was_there) {
            shared.present = fit(*shared.file, file, shared.pages);
        } else {
            shared.file = TargetFile::create_large(path, file.size, state_.cache);
        }
    }

    // The pages of a part; none of a file that is trusted.
    static PageStretch
    pages_of(const PlaceUnit& unit, const ManifestFile& file, const SharedTarget& shared)
    {
        const std::uint32_t page_size = shared.pages.page_size();
        if (page_size == 0) {
            return {};
        }
        const std::uint64_t begin = unit.part * kPlacePartSize;
        const std::uint64_t end = std::min(begin + kPlacePartSize, file.size);
        return {static_cast<std::uint32_t>(begin / page_size),
                static_cast<std::uint32_t>(end / page_size),
                shared.present};
    }

    // What is on the disk is compared first, and little of it may be fetched.
    void announce_part(const PlaceUnit& unit, const ManifestFile& file)
    {
        const SharedTarget& shared = open_shared(unit, file);
        const PageStretch pages = pages_of(unit, file, shared);
        if (pages.begin >= pages.present && pages.begin < pages.end) {
            placer_.announce(shared.pages, pages.begin, pages.end);
        }
    }

    void place_part(const PlaceUnit& unit, const ManifestFile& file)
    {
        SharedTarget& shared = open_shared(unit, file);
        const std::uint64_t size = std::min(kPlacePartSize, file.size - unit.part * kPlacePartSize);
        PlacedBytes placed{.kept = size};
        if (const PageStretch pages = pages_of(unit, file, shared); pages.begin < pages.end) {
            placed = placer_.place(*shared.file, file.path, shared.pages, pages);
        }
        count(placed);
        state_.progress.add(size);
        shared.fetched += placed.fetched;
        if (--shared.parts_left == 0) {
            finish_shared(shared, file);
        }
    }

    void finish_shared(SharedTarget& shared, const ManifestFile& file)
    {
        const std::string path = shared.file->path();
        finish(*shared.file, file, file.mtime);
        log_placed(path, file, shared.was_there ? outcome(*shared.file, file, shared.fetched) : "");
        shared.pages = {};
    }

    void finish(TargetFile& target,
                const ManifestFile& file,
                const std::optional<UnixNanoseconds>& mtime) const
    {
        if (state_.options.sync == FileSync::each) {
            target.sync();
        }
        const auto [user, group] = state_.options.owner(file.user, file.group);
        target.finish({.user = user, .group = group, .mode = file.mode, .mtime = mtime});
    }

    // What is said of a file that was there.
    std::string
    outcome(const TargetFile& target, const ManifestFile& file, std::uint64_t fetched) const
    {
        if (is_trusted(target, file)) {
            return " exists and matches size/time";
        }
        return fetched == 0 && target.size() == file.size
                   ? " exists and matches backup"
                   : fmt::format(" exists, {} fetched", format_size(fetched));
    }

    void
    log_placed(const std::string& path, const ManifestFile& file, const std::string& outcome) const
    {
        log::detail("restore file {} ({}, {:.2f}%){}",
                    path,
                    format_size(file.size),
                    state_.progress.percent(),
                    outcome);
    }

    PlaceState& state_;
    repository::PackReader packs_; // for all that the worker reads: files share frames
    PagePlacer placer_;
    codec::Xxh3Stream digest_;
    Buffer window_;
};

} // namespace

PlaceReport place_files(const PlaceOptions& options,
                        const repository::Repository& repository,
                        const Manifest& manifest,
                        const RestoreLayout& layout,
                        const std::vector<std::string>& skip,
                        Progress& progress)
{
    PlaceState state(options, repository, manifest, layout, progress);
    state.plan = plan_placing(manifest, layout, skip);
    for (const PlaceUnit& unit : state.plan.units) {
        if (unit.is_large) {
            ++state.shared[unit.large_file].parts_left;
        }
    }
    run_workers(options.workers, [&](std::size_t worker, const std::stop_token& token) {
        log::set_process_number(static_cast<unsigned>(worker + 1));
        PlaceWorker(state).run(token);
        log::set_process_number(0);
    });
    return {state.compared, state.kept, state.fetched};
}

Buffer read_small_file(const repository::Repository& repository,
                       const std::string& stanza,
                       const Manifest& manifest,
                       const ManifestFile& file)
{
    repository::PackReader reader(repository, stanza, manifest.packs);
    Buffer bytes;
    for (const Extent& extent : file.extents) {
        bytes.append(reader.read(extent));
    }
    if (file.content != ContentKind::whole || codec::xxh3_128(bytes) != file.digest) {
        raise(ErrorCode::checksum,
              "file '{}' in the repository does not have the digest it was stored with",
              file.path);
    }
    return bytes;
}

} // namespace pgstrata::engine
