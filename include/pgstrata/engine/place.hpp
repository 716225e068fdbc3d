// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/progress.hpp"
#include "pgstrata/engine/restore_layout.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// What a restore does with a file that is there already.
enum class Reuse : std::uint8_t {
    nothing,  // there are none: the roots were cleared
    contents, // what is right is kept, and only the rest is written
    times,    // the same, and a file with the manifest's size and time, which is older than the
              // backup's copy, is not even read
};

// What makes the files durable that are placed.
enum class FileSync : std::uint8_t {
    with_filesystem, // later, and by somebody else
    each             // of its own, while it is open
};

struct PlaceOptions {
    std::string stanza;
    std::size_t workers = 1;
    Reuse reuse = Reuse::nothing;
    FileSync sync = FileSync::with_filesystem;
    // Gives user and group of a manifest's name pair; {-1, -1} leaves the running user's.
    std::function<std::pair<std::uint32_t, std::uint32_t>(std::uint16_t, std::uint16_t)> owner;
};

struct PlaceReport {
    std::uint64_t bytes_compared = 0; // read from the disk
    std::uint64_t bytes_kept = 0;     // were on the disk already
    std::uint64_t bytes_fetched = 0;  // written from the repository
};

// Writes every file of the manifest to its place: frames are read once for all the files in them,
// pages and digests are checked. Throws Error(checksum) with the file's name when the repository's
// bytes are not what was backed up. Files left out (`skip`, paths) are not touched. Files of
// databases that were not chosen become zeros and keep the time at which they did, since they are
// not what the manifest says.
PlaceReport place_files(const PlaceOptions& options,
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
