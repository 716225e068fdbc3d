// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgstrata::engine {

// A run of small files (positions in PlacePlan::small), or a part of one large file.
struct PlaceUnit {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::uint32_t large_file = 0;
    std::uint32_t part = 0;
    bool is_large = false;
};

// Parts of large files have this many bytes.
inline constexpr std::uint64_t kPlacePartSize = std::uint64_t{32} << 20U;

struct PlacePlan {
    std::vector<std::uint32_t> small; // positions in the manifest, ordered by where their bytes are
    // The largest files first, and small ones among them all along: those keep the disk busy, these
    // the processor, and workers that are at both use both.
    std::vector<PlaceUnit> units;
};

// Whether a file on the disk with this size and time needs no reading to be known as the
// manifest's.
bool is_right_by_time(const repository::ManifestFile& file,
                      std::uint64_t size,
                      UnixNanoseconds mtime,
                      UnixNanoseconds copy_time) noexcept;

// Files to skip (paths) and those that the layout leaves out are not in the plan.
PlacePlan plan_placing(const repository::Manifest& manifest,
                       const RestoreLayout& layout,
                       const std::vector<std::string>& skip);

} // namespace pgstrata::engine
