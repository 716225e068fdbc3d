// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/place.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/page_map.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/size.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <unordered_map>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::Extent;
using repository::Manifest;
using repository::ManifestFile;
using repository::PageMap;

constexpr std::uint64_t kLargeFileSize = std::uint64_t{1} << 20U;
constexpr std::uint64_t kPartSize = std::uint64_t{16} << 20U;
constexpr std::size_t kFilesInUnit = 256;

// A run of small files (positions in PlacePlan::small), or a stretch of one large file.
struct PlaceUnit {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::uint32_t large_file = 0;
    std::uint32_t part = 0;
    bool is_large = false;
};

struct PlacePlan {
    std::vector<std::uint32_t> small; // positions in the manifest, ordered by where their bytes are
    std::vector<PlaceUnit> units;
};

// A large paged file that several workers write at once.
struct SharedTarget {
    std::once_flag opened;
    FileDescriptor file;
    PageMap map;
    std::atomic<std::uint32_t> parts_left = 0;
};

bool is_large_paged(const ManifestFile& file, const RestoreLayout& layout)
{
    return file.content == ContentKind::paged && file.size >= kLargeFileSize &&
           !layout.is_zeroed(file.path);
}

PlacePlan make_plan(const Manifest& manifest,
                    const RestoreLayout& layout,
                    const std::vector<std::string>& skip)
{
    PlacePlan plan;
    std::vector<std::uint32_t> large;
    for (std::uint32_t i = 0; i < manifest.files.size(); ++i) {
        if (std::ranges::find(skip, manifest.files[i].path) == skip.end()) {
            (is_large_paged(manifest.files[i], layout) ? large : plan.small).push_back(i);
        }
    }
    std::ranges::stable_sort(
        large, std::greater(), [&](std::uint32_t i) { return manifest.files[i].size; });
    for (const std::uint32_t i : large) {
        const auto parts =
            static_cast<std::uint32_t>((manifest.files[i].size + kPartSize - 1) / kPartSize);
        for (std::uint32_t part = 0; part < parts; ++part) {
            plan.units.push_back({0, 0, i, part, true});
        }
    }
    // Neighbours in a pack are written together, so a frame that many files share is opened once.
    std::ranges::sort(plan.small, {}, [&](std::uint32_t i) {
        const ManifestFile& file = manifest.files[i];
        const Extent at = file.extents.empty() ? Extent{} : file.extents.front();
        return std::tuple(at.pack, at.offset, at.position, i);
    });
    for (std::uint32_t begin = 0; begin < plan.small.size(); begin += kFilesInUnit) {
        const auto end = static_cast<std::uint32_t>(
            std::min<std::size_t>(begin + kFilesInUnit, plan.small.size()));
        plan.units.push_back({begin, end, 0, 0, false});
    }
    return plan;
}

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
        : state_(state), maps_(state.repository, state.options.stanza, state.manifest.packs),
          data_(state.repository, state.options.stanza, state.manifest.packs)
    {
    }

    void run(const std::stop_token& token)
    {
        const std::vector<PlaceUnit>& units = state_.plan.units;
        for (std::size_t i = state_.next_unit++; i < units.size(); i = state_.next_unit++) {
            if (token.stop_requested()) {
                return;
            }
            place(units[i]);
        }
    }

private:
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

    static FileDescriptor create(const std::string& path, int flags = 0)
    {
        return open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | flags, 0600);
    }

    // Large files go past the page cache: everything is synced at the end anyway, and copying it
    // into the cache first costs more than all the rest of a restore. Not every filesystem can.
    static FileDescriptor create_direct(const std::string& path, std::uint64_t size)
    {
        FileDescriptor target;
        try {
            target = create(path, O_DIRECT);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::file_open) {
                throw;
            }
            target = create(path);
        }
        ::fallocate(target.get(),
                    0,
                    0,
                    static_cast<off_t>(size)); // fewer pieces; of no consequence when it cannot
        resize(target, path, size);
        return target;
    }

    // Falls back to the page cache for good where the stretch or the filesystem does not suit
    // direct writes.
    static void write_direct(const FileDescriptor& target,
                             ByteView bytes,
                             std::uint64_t offset,
                             const std::string& path)
    {
        const bool is_aligned =
            reinterpret_cast<std::uintptr_t>(bytes.data()) % Buffer::kAlignment == 0 &&
            bytes.size() % Buffer::kAlignment == 0 && offset % Buffer::kAlignment == 0;
        if (is_aligned) {
            const ssize_t count =
                ::pwrite(target.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (count == static_cast<ssize_t>(bytes.size())) {
                return;
            }
        }
        ::fcntl(target.get(),
                F_SETFL,
                ::fcntl(target.get(), F_GETFL) &
                    ~O_DIRECT); // NOLINT(cppcoreguidelines-pro-type-vararg)
        pwrite_fully(target.get(), bytes, offset, path);
    }

    void place_file(const ManifestFile& file)
    {
        // Without PG_VERSION nobody can connect to a database that was left out, and DROP DATABASE
        // still works.
        const bool is_zeroed = state_.layout.is_zeroed(file.path);
        if (is_zeroed && file_name(file.path) == "PG_VERSION") {
            return;
        }
        const std::string path = state_.layout.physical_path(file.path);
        FileDescriptor target = create(path);
        if (is_zeroed && file_name(file.path) != "pg_filenode.map") {
            resize(target, path, file.size);
        } else if (file.content == ContentKind::whole) {
            write_whole(target, path, file);
        } else if (file.content == ContentKind::paged) {
            const PageMap map = read_map(file);
            write_pages(target, path, file, map, 0, file.size);
            resize(target, path, file.size);
        }
        finish(target, path, file);
        state_.progress.add(file.size);
    }

    static void resize(const FileDescriptor& target, const std::string& path, std::uint64_t size)
    {
        if (::ftruncate(target.get(), static_cast<off_t>(size)) != 0) {
            raise_errno(ErrorCode::file_write, errno, fmt::format("set the size of '{}'", path));
        }
    }

    void
    write_whole(const FileDescriptor& target, const std::string& path, const ManifestFile& file)
    {
        digest_.reset();
        for (const Extent& extent : file.extents) {
            const ByteView bytes = data_.read(extent);
            digest_.update(bytes);
            write_fully(target.get(), bytes, path);
        }
        if (digest_.finish() != file.digest) {
            raise(ErrorCode::checksum,
                  "file '{}' in the repository does not have the digest it was stored with",
                  file.path);
        }
    }

    PageMap read_map(const ManifestFile& file)
    {
        map_bytes_.clear();
        for (const Extent& extent : file.extents) {
            map_bytes_.append(maps_.read(extent));
        }
        PageMap map =
            repository::decode_page_map(map_bytes_, fmt::format("the page map of '{}'", file.path));
        if (std::uint64_t{map.file_pages} * map.page_size != file.size || !map.is_dense) {
            raise(ErrorCode::format, "the page map of '{}' does not fit the file", file.path);
        }
        for (const Extent& extent : map.extents) {
            if (extent.pack >= state_.manifest.packs.size()) {
                raise(ErrorCode::format, "the page map of '{}' names an unknown pack", file.path);
            }
        }
        return map;
    }

    // Writes the pages from byte `begin` to `end` of the file; both are borders of extents or the
    // file's end.
    void write_pages(const FileDescriptor& target,
                     const std::string& path,
                     const ManifestFile& file,
                     const PageMap& map,
                     std::uint64_t begin,
                     std::uint64_t end)
    {
        std::uint64_t at = 0;
        for (const Extent& extent : map.extents) {
            if (at >= end) {
                break;
            }
            if (at >= begin) {
                const ByteView pages = data_.read(extent);
                check_pages(pages, file, map, at);
                write_direct(target, pages, at, path);
            }
            at += extent.size;
        }
    }

    void check_pages(ByteView pages,
                     const ManifestFile& file,
                     const PageMap& map,
                     std::uint64_t at) const
    {
        const codec::PageHashKey& key = state_.repository.page_hash_key();
        for (std::size_t done = 0; done < pages.size(); done += map.page_size) {
            const std::size_t number = (at + done) / map.page_size;
            if (codec::page_hash(pages.subspan(done, map.page_size), key) != map.hashes[number]) {
                raise(ErrorCode::checksum,
                      "page {} of file '{}' in the repository is not the page that was backed up",
                      number,
                      file.path);
            }
        }
    }

    void place_part(const PlaceUnit& unit, const ManifestFile& file)
    {
        SharedTarget& shared = state_.shared.at(unit.large_file);
        const std::string path = state_.layout.physical_path(file.path);
        std::call_once(shared.opened, [&] {
            shared.map = read_map(file);
            shared.file = create_direct(path, file.size);
        });
        const std::uint64_t begin = unit.part * kPartSize;
        const std::uint64_t end = std::min(begin + kPartSize, file.size);
        write_pages(shared.file, path, file, shared.map, begin, end);
        state_.progress.add(end - begin);
        if (--shared.parts_left == 0) {
            finish(shared.file, path, file);
            shared.map = {};
        }
    }

    void finish(FileDescriptor& target, const std::string& path, const ManifestFile& file)
    {
        const auto [uid, gid] = state_.options.owner(file.user, file.group);
        if (uid != ~0U && ::fchown(target.get(), uid, gid) != 0) {
            raise_errno(ErrorCode::file_owner, errno, fmt::format("set the owner of '{}'", path));
        }
        if (::fchmod(target.get(), file.mode) != 0) {
            raise_errno(ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", path));
        }
        const timespec time{file.mtime / 1000000000, file.mtime % 1000000000};
        const timespec times[2] = {time, time};
        ::futimens(target.get(), times); // of no consequence when it fails
        target.close(path);
        log::detail("restore file {} ({}, {:.2f}%)",
                    path,
                    format_size(file.size),
                    state_.progress.percent());
    }

    PlaceState& state_;
    repository::PackReader maps_;
    repository::PackReader data_;
    codec::Xxh3Stream digest_;
    Buffer map_bytes_;
};

} // namespace

void place_files(const PlaceOptions& options,
                 const repository::Repository& repository,
                 const Manifest& manifest,
                 const RestoreLayout& layout,
                 const std::vector<std::string>& skip,
                 Progress& progress)
{
    PlaceState state(options, repository, manifest, layout, progress);
    state.plan = make_plan(manifest, layout, skip);
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
