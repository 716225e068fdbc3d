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
    for (const std::uint32_t i : large) {
        const auto parts = static_cast<std::uint32_t>(
            (manifest.files[i].size + kPlacePartSize - 1) / kPlacePartSize);
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
    for (std::uint32_t begin = 0; begin < plan.small.size(); begin += kSmallFilesInUnit) {
        const auto end = static_cast<std::uint32_t>(
            std::min<std::size_t>(begin + kSmallFilesInUnit, plan.small.size()));
        plan.units.push_back({begin, end, 0, 0, false});
    }
    return plan;
}

} // namespace pgstrata::engine
