// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/progress.hpp"
#include "pgstrata/engine/restore_layout.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pgstrata::engine {

struct PlaceOptions {
    std::string stanza;
    std::size_t workers = 1;
    // Gives user and group of a manifest's name pair; {-1, -1} leaves the running user's.
    std::function<std::pair<std::uint32_t, std::uint32_t>(std::uint16_t, std::uint16_t)> owner;
};

// Writes every file of the manifest but pg_control to its place: frames are read once for all the
// files in them, pages and digests are checked. Throws Error(checksum) with the file's name when
// the repository's bytes are not what was backed up. Files are written, not synced. Files left out
// (`skip`, paths) are not touched.
void place_files(const PlaceOptions& options,
                 const repository::Repository& repository,
                 const repository::Manifest& manifest,
                 const RestoreLayout& layout,
                 const std::vector<std::string>& skip,
                 Progress& progress);

// The bytes of one small `whole` file, such as pg_control.
Buffer read_small_file(const repository::Repository& repository,
                       const std::string& stanza,
                       const repository::Manifest& manifest,
                       const repository::ManifestFile& file);

} // namespace pgstrata::engine
