// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/copy.hpp"

#include "engine/frame_packer.hpp"
#include "engine/page_reader.hpp"

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

// A large relation file that several workers read at once.
struct SharedFile {
    std::once_flag opened;
    FileDescriptor file;
    bool is_missing = false;
    std::mutex bad_pages_mutex;
    std::vector<std::uint32_t> bad_pages;
    repository::PageMap map;
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
    std::atomic<std::uint64_t> bytes = 0;
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
          page_hash_key_(packs.repository().page_hash_key()), reader_(state.options),
          packer_(packs, state.manifest, state.options.page_size, state.options.compress_level)
    {
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
        if (file.size < kSmallFileSize) {
            copy_small(unit.file, file);
        } else if (file.content == ContentKind::paged) {
            copy_part(unit, file);
            return;
        } else {
            copy_stream(unit.file, file);
        }
        report(file, planned);
    }

    void report(const ManifestFile& file, std::uint64_t bytes)
    {
        state_.bytes += bytes;
        state_.progress.add(bytes);
        log::detail("backup file {}/{} ({}, {:.2f}%)",
                    options_.data_directory,
                    file.path,
                    format_size(file.size),
                    state_.progress.percent());
    }

    void set_vanished(std::uint32_t index, ManifestFile& file)
    {
        state_.is_vanished[index] = 1;
        file.content = ContentKind::empty;
        file.size = 0;
    }

    static void set_bad_pages(ManifestFile& file, std::vector<std::uint32_t> pages)
    {
        if (!pages.empty()) {
            std::ranges::sort(pages);
            file.is_damaged = true;
            file.bad_pages = std::move(pages);
            report_bad_pages(file);
        }
    }

    void hash_pages(ByteView bytes, std::uint64_t* hashes) const
    {
        for (std::size_t at = 0; at < bytes.size(); at += options_.page_size) {
            *hashes++ = codec::page_hash(bytes.subspan(at, options_.page_size), page_hash_key_);
        }
    }

    void copy_small(std::uint32_t index, ManifestFile& file)
    {
        const std::string path = join_path(options_.data_directory, file.path);
        const auto descriptor = open_if_there(path);
        if (!descriptor) {
            set_vanished(index, file);
            return;
        }
        const MutableBytes room = packer_.reserve_small(file.size);
        if (file.content == ContentKind::whole) {
            file.size = read_fully(descriptor->get(), room, path);
            if (file.size == 0) {
                file.content = ContentKind::empty;
                return;
            }
            file.digest = codec::xxh3_128(room.first(file.size));
            packer_.add_small(index, file.size, {});
            return;
        }
        std::vector<std::uint32_t> bad_pages;
        const std::uint32_t first_block = first_block_of(file.path, options_.segment_pages);
        reader_.read_pages(descriptor->get(), path, 0, first_block, room, bad_pages);
        std::vector<std::uint64_t> hashes(file.size / options_.page_size);
        hash_pages(room, hashes.data());
        packer_.add_small(index, file.size, std::move(hashes));
        set_bad_pages(file, std::move(bad_pages));
    }

    void copy_stream(std::uint32_t index, ManifestFile& file)
    {
        const std::string path = join_path(options_.data_directory, file.path);
        const auto descriptor = open_if_there(path);
        if (!descriptor) {
            set_vanished(index, file);
            return;
        }
        codec::Xxh3Stream digest;
        std::uint64_t done = 0;
        while (done < file.size) {
            check_cancelled();
            buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, file.size - done));
            const std::size_t count = read_fully(descriptor->get(), buffer_.span(), path);
            const ByteView bytes = buffer_.view().first(count);
            if (bytes.empty()) {
                break;
            }
            digest.update(bytes);
            file.extents.push_back(packer_.add_frame(bytes));
            done += count;
        }
        file.size = done;
        file.digest = digest.finish();
        if (done == 0) {
            file.content = ContentKind::empty;
        }
    }

    void copy_part(const CopyUnit& unit, ManifestFile& file)
    {
        SharedFile& shared = state_.shared.at(unit.file);
        const std::string path = join_path(options_.data_directory, file.path);
        std::call_once(shared.opened, [&] { open_shared(shared, file, path); });
        const std::uint64_t begin = unit.part * kCopyPartSize;
        const std::uint64_t end = std::min(begin + kCopyPartSize, file.size);
        if (!shared.is_missing) {
            copy_stretch(shared, file, begin, end);
        }
        state_.bytes += end - begin;
        state_.progress.add(end - begin);
        if (--shared.parts_left == 0) {
            finish_shared(unit.file, file, shared);
        }
    }

    // The map's memory is taken when the first part is read and given back after the last: what is
    // at work at one moment is a few files, whatever the size of the database.
    void open_shared(SharedFile& shared, const ManifestFile& file, const std::string& path) const
    {
        auto descriptor = open_if_there(path);
        shared.is_missing = !descriptor;
        if (descriptor) {
            shared.file = std::move(*descriptor);
            shared.map.page_size = options_.page_size;
            shared.map.file_pages = static_cast<std::uint32_t>(file.size / options_.page_size);
            shared.map.hashes.resize(shared.map.file_pages);
            shared.map.extents.resize((file.size + codec::kFrameRawLimit - 1) /
                                      codec::kFrameRawLimit);
        }
    }

    void copy_stretch(SharedFile& shared,
                      const ManifestFile& file,
                      std::uint64_t begin,
                      std::uint64_t end)
    {
        const std::string path = join_path(options_.data_directory, file.path);
        const std::uint32_t first_block = first_block_of(file.path, options_.segment_pages);
        std::vector<std::uint32_t> bad_pages;
        for (std::uint64_t at = begin; at < end; at += codec::kFrameRawLimit) {
            check_cancelled();
            buffer_.resize(std::min<std::uint64_t>(codec::kFrameRawLimit, end - at));
            reader_.read_pages(shared.file.get(), path, at, first_block, buffer_.span(), bad_pages);
            hash_pages(buffer_, shared.map.hashes.data() + at / options_.page_size);
            shared.map.extents[at / codec::kFrameRawLimit] = packer_.add_frame(buffer_);
        }
        if (!bad_pages.empty()) {
            const std::lock_guard lock(shared.bad_pages_mutex);
            shared.bad_pages.insert(shared.bad_pages.end(), bad_pages.begin(), bad_pages.end());
        }
    }

    // The worker that ends the last part writes the map; the counter orders it after the others'
    // parts.
    void finish_shared(std::uint32_t index, ManifestFile& file, SharedFile& shared)
    {
        if (shared.is_missing) {
            set_vanished(index, file);
        } else {
            packer_.add_map(index, shared.map);
            set_bad_pages(file, std::move(shared.bad_pages));
        }
        log::detail("backup file {} ({}, {:.2f}%)",
                    join_path(options_.data_directory, file.path),
                    format_size(file.size),
                    state_.progress.percent());
        shared.file = FileDescriptor();
        shared.map = {};
    }

    CopyState& state_;
    const CopyOptions& options_;
    const codec::PageHashKey& page_hash_key_;
    PageReader reader_;
    FramePacker packer_;
    Buffer buffer_;
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
    return {{state.is_vanished.begin(), state.is_vanished.end()}, state.bytes};
}

} // namespace pgstrata::engine
