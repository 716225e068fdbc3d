// SPDX-License-Identifier: PostgreSQL
#include "engine/place_plan.hpp"

#include <algorithm>
#include <functional>
#include <tuple>

namespace pgstrata::engine {

namespace {

using repository::ContentKind;
using repository::Extent;
using repository::Manifest;
using repository::ManifestFile;

constexpr std::uint64_t kLargeFileSize = std::uint64_t{1} << 20U;
constexpr std::size_t kSmallFilesInUnit = 256;
// Clocks of filesystems are coarse: a file written just after the copy began may look older.
constexpr UnixNanoseconds kTimeMargin = 2'000'000'000;

bool is_large_paged(const ManifestFile& file, const RestoreLayout& layout)
{
    return file.content == ContentKind::paged && file.size >= kLargeFileSize &&
           !layout.is_zeroed(file.path);
}

// Evenly, from the beginning on: a unit of small files takes longer than one of a large file, and
// the last ones should be short.
std::vector<PlaceUnit> mix(const std::vector<PlaceUnit>& large, const std::vector<PlaceUnit>& small)
{
    std::vector<PlaceUnit> mixed;
    mixed.reserve(large.size() + small.size());
    std::size_t taken = 0;
    for (std::size_t i = 0; i < large.size(); ++i) {
        while (taken < small.size() && taken * large.size() <= i * small.size()) {
            mixed.push_back(small[taken++]);
        }
        mixed.push_back(large[i]);
    }
    mixed.insert(mixed.end(), small.begin() + static_cast<std::ptrdiff_t>(taken), small.end());
    return mixed;
}

} // namespace

bool is_right_by_time(const ManifestFile& file,
                      std::uint64_t size,
                      UnixNanoseconds mtime,
                      UnixNanoseconds copy_time) noexcept
{
    return size == file.size && mtime == file.mtime && file.mtime < copy_time - kTimeMargin;
}

PlacePlan plan_placing(const Manifest& manifest,
                       const RestoreLayout& layout,
                       const std::vector<std::string>& skip)
{
    PlacePlan plan;
    std::vector<std::uint32_t> large;
    for (std::uint32_t i = 0; i < manifest.files.size(); ++i) {
        const ManifestFile& file = manifest.files[i];
        if (std::ranges::find(skip, file.path) == skip.end() && !layout.is_left_out(file.path)) {
            (is_large_paged(file, layout) ? large : plan.small).push_back(i);
        }
    }
    std::ranges::stable_sort(
        large, std::greater(), [&](std::uint32_t i) { return manifest.files[i].size; });
    std::vector<PlaceUnit> large_units;
    for (const std::uint32_t i : large) {
        const auto parts = static_cast<std::uint32_t>(
            (manifest.files[i].size + kPlacePartSize - 1) / kPlacePartSize);
        for (std::uint32_t part = 0; part < parts; ++part) {
            large_units.push_back({0, 0, i, part, true});
        }
    }
    // Neighbours in a pack are written together, so a frame that many files share is opened once.
    std::ranges::sort(plan.small, {}, [&](std::uint32_t i) {
        const ManifestFile& file = manifest.files[i];
        const Extent at = file.extents.empty() ? Extent{} : file.extents.front();
        return std::tuple(at.pack, at.offset, at.position, i);
    });
    std::vector<PlaceUnit> small_units;
    for (std::uint32_t begin = 0; begin < plan.small.size(); begin += kSmallFilesInUnit) {
        const auto end = static_cast<std::uint32_t>(
            std::min<std::size_t>(begin + kSmallFilesInUnit, plan.small.size()));
        small_units.push_back({begin, end, 0, 0, false});
    }
    plan.units = mix(large_units, small_units);
    return plan;
}

} // namespace pgstrata::engine
