// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/copy.hpp"

#include "engine/frame_packer.hpp"
#include "engine/page_collector.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <fcntl.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <unordered_map>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::ManifestFile;

constexpr std::uint64_t kSourceCheckInterval = 2000; // milliseconds
constexpr std::size_t kSmallestRead = 128U << 10U;

// A large relation file that several workers read at once.
struct SharedFile {
    std::once_flag opened;
    FileDescriptor descriptor;
    PageFile file;
    bool is_missing = false;
    KnownPages known;
    std::mutex bad_pages_mutex;
    std::vector<std::uint32_t> bad_pages;
    std::vector<repository::PageMap> parts;
    std::atomic<std::uint32_t> parts_left = 0;
};

// What all workers of one copy share.
struct CopyState : NonCopyable {
    CopyState(const CopyOptions& copy_options,
              const BackupPlan& copy_plan,
              repository::Manifest& copy_manifest,
              Progress& copy_progress)
        : options(copy_options), plan(copy_plan), manifest(copy_manifest), progress(copy_progress),
          is_vanished(copy_manifest.files.size())
    {
    }

    const CopyOptions& options;
    const BackupPlan& plan;
    repository::Manifest& manifest;
    Progress& progress;
    std::atomic<std::size_t> next_unit = 0;
    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> stored = 0;
    std::unordered_map<std::uint32_t, SharedFile> shared; // filled before the workers start
    std::vector<char> is_vanished;                        // one writer an element
};

std::uint32_t first_block_of(const std::string& path, std::uint32_t segment_pages)
{
    const auto relation = postgres::parse_relation_path(path);
    return relation ? relation->segment * segment_pages : 0;
}

// nullopt when the file is gone, which is normal while a server runs.
std::optional<FileDescriptor> open_if_there(const std::string& path)
{
    try {
        return open_file(path, O_RDONLY);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            return std::nullopt;
        }
        throw;
    }
}

void report_bad_pages(const ManifestFile& file)
{
    std::string numbers;
    constexpr std::size_t kShown = 20;
    for (std::size_t i = 0; i < std::min(file.bad_pages.size(), kShown); ++i) {
        numbers += fmt::format("{}{}", i == 0 ? "" : ", ", file.bad_pages[i]);
    }
    log::warn("invalid page checksums found in file '{}' at page{} {}{}",
              file.path,
              file.bad_pages.size() == 1 ? "" : "s",
              numbers,
              file.bad_pages.size() > kShown
                  ? fmt::format(" and {} more", file.bad_pages.size() - kShown)
                  : "");
}

class CopyWorker : NonCopyable {
public:
    CopyWorker(CopyState& state, repository::PackSet& packs)
        : state_(state), options_(state.options),
          collector_(state.options, packs.repository().page_hash_key()),
          audit_(state.options, collector_),
          packer_(packs, state.manifest, state.options.compress_level),
          prior_(packs.repository(), packs.stanza(), state.manifest.packs)
    {
        if (options_.journal) {
            packer_.keep_journal(*options_.journal);
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
                check_source();
            }
            copy(units[i]);
            packer_.end_unit();
        }
        packer_.finish();
    }

private:
    void check_source()
    {
        const std::uint64_t now = monotonic_milliseconds();
        if (options_.check_source && now - source_checked_ >= kSourceCheckInterval) {
            source_checked_ = now;
            options_.check_source();
        }
    }

    void copy(const CopyUnit& unit)
    {
        ManifestFile& file = state_.manifest.files[unit.file];
        const std::uint64_t planned = file.size;
        if (file.content == ContentKind::whole) {
            copy_whole(unit.file, file);
        } else if (file.size < kSmallFileSize) {
            copy_small_pages(unit.file, file);
        } else {
            copy_part(unit, file);
            return;
        }
        state_.progress.add(planned);
        report(file);
    }

    void report(const ManifestFile& file) const
    {
        log::detail("backup file {}/{} ({}, {:.2f}%)",
                    options_.data_directory,
                    file.path,
                    format_size(file.size),
                    state_.progress.percent());
    }

    void set_vanished(std::uint32_t index, ManifestFile& file)
    {
        state_.is_vanished[index] = 1;
        set_empty(file);
    }

    static void set_empty(ManifestFile& file)
    {
        file.content = ContentKind::empty;
        file.size = 0;
        file.extents.clear();
    }

    static void set_bad_pages(ManifestFile& file, std::vector<std::uint32_t> pages)
    {
        file.is_damaged = !pages.empty();
        file.bad_pages = std::move(pages);
        if (file.is_damaged) {
            std::ranges::sort(file.bad_pages);
            report_bad_pages(file);
        }
    }

    FileWork work_of(std::uint32_t index) const { return state_.plan.work[index]; }

    // What differs in size was found out when the work was planned.
    bool may_be_as_before(std::uint32_t index) const
    {
        return work_of(index) == FileWork::compare || options_.durable != nullptr;
    }

    // Whether bytes with this digest are there already, so that the file need not be stored.
    bool take_known(std::uint32_t index, ManifestFile& file, const codec::Digest128& digest)
    {
        if (work_of(index) == FileWork::compare && file.digest == digest) {
            return true;
        }
        file.digest = digest;
        if (options_.durable == nullptr) {
            return false;
        }
        auto stored = options_.durable->find_file(file.path, file.size, digest);
        if (!stored) {
            return false;
        }
        file.extents.clear();
        for (const repository::Extent& extent : stored->extents) {
            file.extents.push_back(packer_.in_manifest(extent));
        }
        state_.stored += file.size;
        return true;
    }

    void copy_whole(std::uint32_t index, ManifestFile& file)
    {
        const std::string path = join_path(options_.data_directory, file.path);
        const auto descriptor = open_if_there(path);
        if (!descriptor) {
            set_vanished(index, file);
        } else if (file.size < kSmallFileSize) {
            copy_small(index, file, *descriptor);
        } else if (!may_be_as_before(index) || !is_stored(index, file, *descriptor)) {
            copy_stream(index, file, *descriptor);
        }
    }

    void copy_small(std::uint32_t index, ManifestFile& file, const FileDescriptor& descriptor)
    {
        const MutableBytes room = packer_.reserve_small(file.size);
        const std::size_t size = read_fully(descriptor.get(), room, file.path);
        state_.read += size;
        const bool has_shrunk = size != file.size;
        file.size = size;
        if (size == 0) {
            set_empty(file);
            return;
        }
        const codec::Digest128 digest = codec::xxh3_128(room.first(size));
        if (has_shrunk) {
            file.digest = digest;
        } else if (take_known(index, file, digest)) {
            return;
        }
        packer_.add_small_file(index, size);
        state_.stored += size;
    }

    // A large file is read once for its digest, since a frame that was written cannot be taken
    // back.
    bool is_stored(std::uint32_t index, ManifestFile& file, const FileDescriptor& descriptor)
    {
        codec::Xxh3Stream digest;
        std::uint64_t done = 0;
        while (done < file.size) {
            check_cancelled();
            buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file.size - done));
            const std::size_t count =
                pread_fully(descriptor.get(), buffer_.span(), done, file.path);
            digest.update(buffer_.view().first(count));
            done += count;
            if (count != buffer_.size()) {
                break;
            }
        }
        state_.read += done;
        return done == file.size && take_known(index, file, digest.finish());
    }

    void copy_stream(std::uint32_t index, ManifestFile& file, const FileDescriptor& descriptor)
    {
        codec::Xxh3Stream digest;
        std::uint64_t done = 0;
        file.extents.clear();
        while (done < file.size) {
            check_cancelled();
            buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file.size - done));
            const std::size_t count =
                pread_fully(descriptor.get(), buffer_.span(), done, file.path);
            if (count == 0) {
                break;
            }
            const ByteView bytes = buffer_.view().first(count);
            digest.update(bytes);
            file.extents.push_back(packer_.in_manifest(packer_.add_frame(bytes)));
            packer_.end_unit();
            done += count;
        }
        state_.read += done;
        state_.stored += done;
        file.size = done;
        file.digest = digest.finish();
        if (done == 0) {
            set_empty(file);
            return;
        }
        packer_.remember_file(index);
    }

    PageFile page_file(const ManifestFile& file, const FileDescriptor& descriptor) const
    {
        return {descriptor.get(),
                join_path(options_.data_directory, file.path),
                first_block_of(file.path, options_.segment_pages)};
    }

    std::uint32_t page_count(const ManifestFile& file) const
    {
        return static_cast<std::uint32_t>(file.size / options_.page_size);
    }

    KnownPages find_known(std::uint32_t index, const ManifestFile& file)
    {
        KnownPages known;
        if (work_of(index) != FileWork::copy) {
            const std::string what =
                fmt::format("the page map of '{}' in the prior backup", file.path);
            known.prior = repository::FilePages(
                repository::read_page_maps(prior_, state_.manifest.packs, file.extents, what),
                what);
            known.was_damaged = file.is_damaged;
        }
        if (options_.durable != nullptr) {
            for (const repository::PageMap& pages : options_.durable->find_pages(file.path)) {
                known.durable.add(pages);
            }
        }
        return known;
    }

    repository::PageMap begin_map(const ManifestFile& file) const
    {
        repository::PageMap map;
        map.page_size = options_.page_size;
        map.file_pages = page_count(file);
        map.is_dense = false;
        return map;
    }

    // The ranges of pages to be read; all of them, or those that WAL names and a few for the audit.
    std::vector<PageRange> ranges_to_read(std::uint32_t index,
                                          const ManifestFile& file,
                                          const PageFile& pages,
                                          const KnownPages& known,
                                          PageRange range)
    {
        if (work_of(index) != FileWork::candidates) {
            return {range};
        }
        const auto relation = postgres::parse_relation_path(file.path);
        const postgres::ForkChanges* changes = options_.changes->find(
            relation->tablespace, relation->database, relation->relation, relation->fork);
        std::vector<PageRange> ranges =
            candidate_pages({changes, pages.first_block, known.prior.count()}, range);
        state_.read += audit_.audit(pages, range, ranges, known.prior);
        return ranges;
    }

    void copy_small_pages(std::uint32_t index, ManifestFile& file)
    {
        const auto descriptor = open_if_there(join_path(options_.data_directory, file.path));
        if (!descriptor) {
            set_vanished(index, file);
            return;
        }
        const PageFile pages = page_file(file, *descriptor);
        const KnownPages known = find_known(index, file);
        const MutableBytes room = packer_.reserve_small(file.size);
        repository::PageMap map = begin_map(file);
        std::vector<std::uint32_t> bad_pages;
        std::uint32_t kept = 0;
        for (const PageRange& range :
             ranges_to_read(index, file, pages, known, {0, page_count(file)})) {
            const std::size_t size = bytes_of(range);
            state_.read += size;
            kept += collector_.collect(
                pages, range, known, room.subspan(kept, size), kept, map, bad_pages);
        }
        set_bad_pages(file, std::move(bad_pages));
        if (end_map(map, known)) {
            packer_.add_small_pages(index, kept, std::move(map));
        }
    }

    std::size_t bytes_of(PageRange range) const
    {
        return std::size_t{range.end - range.begin} * options_.page_size;
    }

    // False when the file is as the prior backup has it, and needs no map.
    bool end_map(repository::PageMap& map, const KnownPages& known)
    {
        state_.stored += map.stored_pages() * options_.page_size;
        if (map.stored_pages() == map.file_pages) {
            map.is_dense = true;
            map.numbers.clear();
        }
        return map.stored_pages() != 0 || map.file_pages != known.prior.count();
    }

    void copy_part(const CopyUnit& unit, ManifestFile& file)
    {
        SharedFile& shared = state_.shared.at(unit.file);
        std::call_once(shared.opened, [&] { open_shared(unit.file, file, shared); });
        const std::uint64_t begin = unit.part * kCopyPartSize;
        const std::uint64_t end = std::min(begin + kCopyPartSize, file.size);
        if (!shared.is_missing) {
            const PageRange range{static_cast<std::uint32_t>(begin / options_.page_size),
                                  static_cast<std::uint32_t>(end / options_.page_size)};
            shared.parts[unit.part] = begin_map(file);
            copy_pages(unit.file, file, shared, range, shared.parts[unit.part]);
        }
        state_.progress.add(end - begin);
        if (--shared.parts_left == 0) {
            finish_shared(unit.file, file, shared);
        }
    }

    // Memory for maps is taken when the first part is read and given back after the last: what is
    // at work at one moment is a few files, whatever the size of the database.
    void open_shared(std::uint32_t index, const ManifestFile& file, SharedFile& shared)
    {
        auto descriptor = open_if_there(join_path(options_.data_directory, file.path));
        shared.is_missing = !descriptor;
        if (descriptor) {
            shared.descriptor = std::move(*descriptor);
            shared.file = page_file(file, shared.descriptor);
            shared.known = find_known(index, file);
            shared.parts.resize((file.size + kCopyPartSize - 1) / kCopyPartSize);
        }
    }

    void copy_pages(std::uint32_t index,
                    const ManifestFile& file,
                    SharedFile& shared,
                    PageRange part,
                    repository::PageMap& map)
    {
        std::vector<std::uint32_t> bad_pages;
        for (PageRange range : ranges_to_read(index, file, shared.file, shared.known, part)) {
            while (range.begin != range.end) {
                check_cancelled();
                const PageRange chunk = next_chunk(range, map);
                const std::size_t size = bytes_of(chunk);
                state_.read += size;
                frame_used_ += collector_.collect(shared.file,
                                                  chunk,
                                                  shared.known,
                                                  frame_.span().subspan(frame_used_, size),
                                                  frame_used_,
                                                  map,
                                                  bad_pages);
                range.begin = chunk.end;
            }
        }
        flush_frame(map);
        packer_.remember_pages(index, map);
        if (!bad_pages.empty()) {
            const std::lock_guard lock(shared.bad_pages_mutex);
            shared.bad_pages.insert(shared.bad_pages.end(), bad_pages.begin(), bad_pages.end());
        }
    }

    // As many pages as the frame that is being filled has room for; when that gets too little, the
    // frame is written first.
    PageRange next_chunk(PageRange range, repository::PageMap& map)
    {
        if (frame_.size() - frame_used_ < std::min(bytes_of(range), kSmallestRead)) {
            flush_frame(map);
        }
        const auto room =
            static_cast<std::uint32_t>((frame_.size() - frame_used_) / options_.page_size);
        return {range.begin, range.begin + std::min(room, range.end - range.begin)};
    }

    void flush_frame(repository::PageMap& map)
    {
        if (frame_used_ != 0) {
            resolve_extents(map.extents, packer_.add_frame(frame_.view().first(frame_used_)));
            frame_used_ = 0;
        }
    }

    // The worker that ends the last part writes the map; the counter orders it after the others'
    // parts.
    void finish_shared(std::uint32_t index, ManifestFile& file, SharedFile& shared)
    {
        if (shared.is_missing) {
            set_vanished(index, file);
        } else {
            set_bad_pages(file, std::move(shared.bad_pages));
            repository::PageMap map = begin_map(file);
            for (const repository::PageMap& part : shared.parts) {
                map.numbers.insert(map.numbers.end(), part.numbers.begin(), part.numbers.end());
                map.hashes.insert(map.hashes.end(), part.hashes.begin(), part.hashes.end());
                map.extents.insert(map.extents.end(), part.extents.begin(), part.extents.end());
            }
            if (end_map(map, shared.known)) {
                packer_.add_map(index, map);
            }
        }
        report(file);
        shared.descriptor = FileDescriptor();
        shared.known = {};
        shared.parts.clear();
    }

    CopyState& state_;
    const CopyOptions& options_;
    PageCollector collector_;
    PageAudit audit_;
    FramePacker packer_;
    repository::PackReader prior_;
    Buffer buffer_;
    Buffer frame_{codec::kFrameRawLimit}; // changed pages of the part that is read
    std::uint32_t frame_used_ = 0;
    std::uint64_t source_checked_ = monotonic_milliseconds();
};

void prepare_shared_files(CopyState& state)
{
    for (const CopyUnit& unit : state.plan.units) {
        const ManifestFile& file = state.manifest.files[unit.file];
        if (file.content != ContentKind::paged || file.size < kSmallFileSize) {
            continue;
        }
        ++state.shared[unit.file].parts_left;
    }
}

} // namespace

CopyResult copy_files(const CopyOptions& options,
                      const BackupPlan& plan,
                      repository::Manifest& manifest,
                      repository::PackSet& packs,
                      Progress& progress)
{
    CopyState state(options, plan, manifest, progress);
    prepare_shared_files(state);
    run_workers(options.workers, [&](std::size_t worker, const std::stop_token& token) {
        log::set_process_number(static_cast<unsigned>(worker + 1));
        CopyWorker(state, packs).run(worker, token);
        log::set_process_number(0);
    });
    return {{state.is_vanished.begin(), state.is_vanished.end()}, state.read, state.stored};
}

} // namespace pgstrata::engine
