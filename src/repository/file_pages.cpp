// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/file_pages.hpp"

#include <algorithm>
#include <limits>

namespace pgstrata::repository {

namespace {

constexpr std::uint16_t kNoMap = std::numeric_limits<std::uint16_t>::max();
// Of one encoded map: that of a file of 128 GiB has 128 MiB of hashes.
constexpr std::size_t kMapLimit = std::size_t{256} << 20U;

// Which map each page comes from.
std::vector<std::uint16_t> choose_maps(std::span<const PageMap> maps,
                                       std::vector<std::uint64_t>& hashes)
{
    std::vector<std::uint16_t> chosen(hashes.size(), kNoMap);
    auto limit = static_cast<std::uint32_t>(hashes.size());
    for (std::size_t m = 0; m < maps.size(); ++m) {
        const PageMap& map = maps[m];
        limit = std::min(limit, map.file_pages);
        for (std::size_t i = 0; i < map.stored_pages(); ++i) {
            const std::uint32_t page = map.page_number(i);
            if (page >= limit) {
                break;
            }
            if (chosen[page] == kNoMap) {
                chosen[page] = static_cast<std::uint16_t>(m);
                hashes[page] = map.hashes[i];
            }
        }
    }
    return chosen;
}

bool continues(const PageRun& run, std::uint32_t page, const Extent& at, std::uint32_t page_size)
{
    return run.where.pack == at.pack && run.where.offset == at.offset &&
           run.where.length == at.length && run.where.position + run.where.size == at.position &&
           run.first_page + run.where.size / page_size == page;
}

// Appends the runs of the pages that come from this map.
void add_runs(const PageMap& map,
              std::uint16_t number,
              const std::vector<std::uint16_t>& chosen,
              std::vector<PageRun>& runs)
{
    std::size_t index = 0;
    const std::size_t first = runs.size();
    for (const Extent& extent : map.extents) {
        for (std::uint32_t done = 0; done < extent.size; done += map.page_size, ++index) {
            const std::uint32_t page = map.page_number(index);
            if (page >= chosen.size()) {
                return;
            }
            if (chosen[page] != number) {
                continue;
            }
            Extent at = extent;
            at.position += done;
            at.size = map.page_size;
            if (runs.size() > first && continues(runs.back(), page, at, map.page_size)) {
                runs.back().where.size += map.page_size;
            } else {
                runs.push_back({page, at});
            }
        }
    }
}

// The label of the backup in whose packs a map lies.
const std::string&
label_of(const Extent& extent, const std::vector<PackInfo>& packs, std::string_view what)
{
    if (extent.pack >= packs.size()) {
        raise(ErrorCode::format, "{} is invalid: it has no pack {}", what, extent.pack);
    }
    return packs[extent.pack].name.label;
}

// A map's extents name packs by their number in the backup that holds the map.
void place_packs(PageMap& map,
                 const std::string& label,
                 const std::vector<PackInfo>& packs,
                 std::string_view what)
{
    for (Extent& extent : map.extents) {
        const auto position = find_pack(packs, {label, extent.pack});
        if (!position || extent.offset > packs[*position].size ||
            extent.length > packs[*position].size - extent.offset) {
            raise(ErrorCode::format,
                  "{} is invalid: it leads outside of the packs of backup {}",
                  what,
                  label);
        }
        extent.pack = *position;
    }
}

} // namespace

FilePages::FilePages(std::span<const PageMap> maps, std::string_view what)
{
    if (maps.empty() || maps.size() >= kNoMap) {
        raise(ErrorCode::format, "{} is invalid: {} page maps", what, maps.size());
    }
    page_size_ = maps.front().page_size;
    if (std::ranges::any_of(maps,
                            [&](const PageMap& map) { return map.page_size != page_size_; })) {
        raise(ErrorCode::format, "{} is invalid: pages of different sizes", what);
    }
    // The length is only a number; memory is for pages that are there.
    std::uint64_t stored = 0;
    for (const PageMap& map : maps) {
        stored += map.stored_pages();
    }
    if (stored < maps.front().file_pages) {
        raise(ErrorCode::format,
              "{} is invalid: its page maps have {} pages, it has {}",
              what,
              stored,
              maps.front().file_pages);
    }
    hashes_.resize(maps.front().file_pages);
    const std::vector<std::uint16_t> chosen = choose_maps(maps, hashes_);
    if (const auto missing = std::ranges::find(chosen, kNoMap); missing != chosen.end()) {
        raise(
            ErrorCode::format, "{} is invalid: page {} is nowhere", what, missing - chosen.begin());
    }
    for (std::size_t m = 0; m < maps.size(); ++m) {
        add_runs(maps[m], static_cast<std::uint16_t>(m), chosen, runs_);
    }
    std::ranges::sort(runs_, {}, &PageRun::first_page);
}

std::vector<PageMap> read_page_maps(PackReader& reader,
                                    const std::vector<PackInfo>& packs,
                                    std::span<const Extent> extents,
                                    std::string_view what)
{
    std::vector<PageMap> maps;
    Buffer encoded;
    const std::string* newer = nullptr; // label of the map before
    for (std::size_t i = 0; i < extents.size();) {
        const std::string& label = label_of(extents[i], packs, what);
        if (newer != nullptr && label >= *newer) {
            raise(ErrorCode::format, "{} is invalid: its page maps are out of order", what);
        }
        newer = &label;
        encoded.clear();
        for (; i < extents.size() && label_of(extents[i], packs, what) == label; ++i) {
            encoded.append(reader.read(extents[i]));
            if (encoded.size() > kMapLimit) {
                raise(ErrorCode::format, "{} is invalid: a page map is too large", what);
            }
        }
        maps.push_back(decode_page_map(encoded, what));
        place_packs(maps.back(), label, packs, what);
        if (maps.back().is_dense) {
            break;
        }
    }
    return maps;
}

} // namespace pgstrata::repository
