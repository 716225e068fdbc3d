// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/place.hpp"
#include "pgstrata/engine/restore_layout.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgstrata::engine {

// One filesystem that files of a restore go to.
struct TargetFilesystem {
    std::string path;         // a directory on it
    std::uint64_t needed = 0; // bytes of the files; hollow ones take none
    std::uint64_t free = 0;   // bytes that this user may still take
    std::uint64_t reused = 0; // bytes of what lies in the roots now and is replaced or removed
    // False where a byte of a file may take less than a byte, as where it is compressed.
    bool is_exact = false;

    // Never false for a restore that fits.
    bool is_enough() const noexcept { return needed <= free || needed - free <= reused; }
};

// What a restore finds in its target, and what it does with that.
struct TargetSurvey {
    std::vector<TargetFilesystem> filesystems;
    std::uint64_t bytes_needed = 0;         // of all files but hollow ones
    std::uint64_t bytes_compared = 0;       // that are there and are read to find out what differs
    std::uint64_t removed = 0;              // files, links and other entries, not directories
    std::vector<std::string> first_removed; // the paths of some of them
    std::vector<std::string> closed;        // directories whose contents this user may not change
};

// Throws Error(path_open) where the restore would fail in the middle since a directory is closed.
void check_changeable(const TargetSurvey& survey);

// Looks at roots that check_roots() has accepted, and changes nothing. What cannot be looked at
// takes no room.
TargetSurvey survey_target(const RestoreLayout& layout,
                           const repository::Manifest& manifest,
                           const std::vector<std::string>& kept,
                           Reuse reuse);

} // namespace pgstrata::engine
