// SPDX-License-Identifier: PostgreSQL
#include "engine/page_file_copier.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::ManifestFile;
using repository::PageMap;

constexpr std::size_t kSmallestRead = 128U << 10U;

std::uint32_t first_block_of(const std::string& path, std::uint32_t segment_pages)
{
    const auto relation = postgres::parse_relation_path(path);
    return relation ? relation->segment * segment_pages : 0;
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

void set_bad_pages(ManifestFile& file, std::vector<std::uint32_t> pages)
{
    file.is_damaged = !pages.empty();
    file.bad_pages = std::move(pages);
    if (file.is_damaged) {
        std::ranges::sort(file.bad_pages);
        report_bad_pages(file);
    }
}

} // namespace

PageFileCopier::PageFileCopier(CopyState& state,
                               FramePacker& packer,
                               const repository::PackSet& packs)
    : state_(state), options_(state.options), packer_(packer),
      collector_(options_, packs.repository().page_hash_key()), audit_(options_, collector_),
      prior_(packs.repository(), packs.stanza(), state.manifest.packs),
      frame_(codec::kFrameRawLimit)
{
}

std::uint32_t PageFileCopier::page_count(const ManifestFile& file) const
{
    return static_cast<std::uint32_t>(file.size / options_.page_size);
}

std::size_t PageFileCopier::bytes_of(PageRange range) const
{
    return std::size_t{range.end - range.begin} * options_.page_size;
}

PageFile PageFileCopier::page_file(const ManifestFile& file, const FileDescriptor& open) const
{
    return {open.get(),
            join_path(options_.data_directory, file.path),
            first_block_of(file.path, options_.segment_pages)};
}

KnownPages PageFileCopier::find_known(std::uint32_t index, const ManifestFile& file)
{
    KnownPages known;
    if (work_of(index) != FileWork::copy) {
        const std::string what = fmt::format("the page map of '{}' in the prior backup", file.path);
        known.prior = repository::FilePages(
            repository::read_page_maps(prior_, state_.manifest.packs, file.extents, what), what);
        known.bad_pages = file.bad_pages;
    }
    if (options_.durable != nullptr) {
        for (const PageMap& pages : options_.durable->find_pages(file.path)) {
            known.durable.add(pages);
        }
    }
    return known;
}

PageMap PageFileCopier::begin_map(const ManifestFile& file) const
{
    PageMap map;
    map.page_size = options_.page_size;
    map.file_pages = page_count(file);
    map.is_dense = false;
    return map;
}

// False when the file is as the prior backup has it, and needs no map.
bool PageFileCopier::end_map(PageMap& map, const KnownPages& known)
{
    state_.stored += map.stored_pages() * options_.page_size;
    if (map.stored_pages() == map.file_pages) {
        map.is_dense = true;
        map.numbers.clear();
    }
    return map.stored_pages() != 0 || map.file_pages != known.prior.count();
}

// The ranges of pages to be read; all of them, or those that WAL names and a few for the audit.
std::vector<PageRange> PageFileCopier::ranges_to_read(std::uint32_t index,
                                                      const PageFile& pages,
                                                      const KnownPages& known,
                                                      PageRange range)
{
    if (work_of(index) != FileWork::candidates) {
        return {range};
    }
    const auto relation = postgres::parse_relation_path(state_.manifest.files[index].path);
    const postgres::ForkChanges* changes = options_.changes->find(
        relation->tablespace, relation->database, relation->relation, relation->fork);
    std::vector<PageRange> ranges =
        candidate_pages({changes, pages.first_block, known.prior.count()}, range);
    state_.read += audit_.audit(pages, range, ranges, known.prior);
    return ranges;
}

void PageFileCopier::copy_small(std::uint32_t index)
{
    ManifestFile& file = state_.manifest.files[index];
    const auto descriptor = open_if_there(join_path(options_.data_directory, file.path));
    if (!descriptor) {
        set_vanished(state_, index);
        return;
    }
    const PageFile pages = page_file(file, *descriptor);
    const KnownPages known = find_known(index, file);
    const MutableBytes room = packer_.reserve_small(file.size);
    PageMap map = begin_map(file);
    std::vector<std::uint32_t> bad_pages;
    std::uint32_t kept = 0;
    for (const PageRange& range : ranges_to_read(index, pages, known, {0, page_count(file)})) {
        const std::size_t size = bytes_of(range);
        state_.read += size;
        kept += collector_.collect(
            pages, range, known, room.subspan(kept, size), kept, {map, bad_pages});
    }
    set_bad_pages(file, std::move(bad_pages));
    set_time(file, *descriptor);
    if (end_map(map, known)) {
        packer_.add_small_pages(index, kept, std::move(map));
    }
}

void PageFileCopier::copy_part(const CopyUnit& unit)
{
    const std::uint64_t size = state_.manifest.files[unit.file].size;
    const auto parts = static_cast<std::uint32_t>((size + kCopyPartSize - 1) / kCopyPartSize);
    SharedFile& shared = state_.shared.get(unit.file, parts);
    shared.opened.run([&] { open_shared(unit.file, shared); });
    const std::uint64_t begin = unit.part * kCopyPartSize;
    const std::uint64_t end = std::min(begin + kCopyPartSize, size);
    if (!shared.is_missing) {
        const PageRange range{static_cast<std::uint32_t>(begin / options_.page_size),
                              static_cast<std::uint32_t>(end / options_.page_size)};
        shared.parts[unit.part] = begin_map(state_.manifest.files[unit.file]);
        copy_pages(unit.file, shared, range, shared.parts[unit.part]);
    }
    state_.progress.add(end - begin);
    if (--shared.parts_left == 0) {
        finish_shared(unit.file, shared);
        state_.shared.forget(unit.file);
    }
}

void PageFileCopier::open_shared(std::uint32_t index, SharedFile& shared)
{
    const ManifestFile& file = state_.manifest.files[index];
    auto descriptor = open_if_there(join_path(options_.data_directory, file.path));
    shared.is_missing = !descriptor;
    if (descriptor) {
        shared.descriptor = std::move(*descriptor);
        shared.file = page_file(file, shared.descriptor);
        shared.gentle.emplace(shared.file.fd, shared.file.path);
        shared.file.gentle = &*shared.gentle;
        shared.known = find_known(index, file);
        shared.parts.resize((file.size + kCopyPartSize - 1) / kCopyPartSize);
    }
}

void PageFileCopier::copy_pages(std::uint32_t index,
                                SharedFile& shared,
                                PageRange part,
                                PageMap& map)
{
    std::vector<std::uint32_t> bad_pages;
    for (PageRange range : ranges_to_read(index, shared.file, shared.known, part)) {
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
                                              {map, bad_pages});
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
PageRange PageFileCopier::next_chunk(PageRange range, PageMap& map)
{
    if (frame_.size() - frame_used_ < std::min(bytes_of(range), kSmallestRead)) {
        flush_frame(map);
    }
    const auto room =
        static_cast<std::uint32_t>((frame_.size() - frame_used_) / options_.page_size);
    return {range.begin, range.begin + std::min(room, range.end - range.begin)};
}

void PageFileCopier::flush_frame(PageMap& map)
{
    if (frame_used_ != 0) {
        resolve_extents(map.extents, packer_.add_frame(frame_.view().first(frame_used_)));
        frame_used_ = 0;
    }
}

// The worker that ends the last part writes the map; the counter orders it after the others' parts.
void PageFileCopier::finish_shared(std::uint32_t index, SharedFile& shared)
{
    ManifestFile& file = state_.manifest.files[index];
    if (shared.is_missing) {
        set_vanished(state_, index);
    } else {
        set_bad_pages(file, std::move(shared.bad_pages));
        set_time(file, shared.descriptor);
        PageMap map = begin_map(file);
        for (const PageMap& part : shared.parts) {
            map.numbers.insert(map.numbers.end(), part.numbers.begin(), part.numbers.end());
            map.hashes.insert(map.hashes.end(), part.hashes.begin(), part.hashes.end());
            map.extents.insert(map.extents.end(), part.extents.begin(), part.extents.end());
        }
        if (end_map(map, shared.known)) {
            packer_.add_map(index, map);
        }
    }
    report_copied(state_, file);
}

} // namespace pgstrata::engine
