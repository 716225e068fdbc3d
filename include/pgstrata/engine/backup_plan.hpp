// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/change_detection.hpp"
#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// One piece of work for a worker: a whole file, or a stretch of a large relation file.
struct CopyUnit {
    std::uint32_t file = 0; // position in the manifest
    std::uint32_t part = 0; // of kCopyPartSize bytes
};

inline constexpr std::uint64_t kCopyPartSize = std::uint64_t{16} << 20U;
// Files below this share frames with others.
inline constexpr std::uint64_t kSmallFileSize = std::uint64_t{256} << 10U;

// What is to be read, decided before the first byte is.
struct BackupPlan {
    // Large files first, then the small ones in the order of their paths. Empty and referred files
    // have none.
    std::vector<CopyUnit> units;
    std::vector<FileWork> work; // of each file of the manifest
    std::uint64_t bytes = 0;    // of the files in `units`
    std::uint64_t referred = 0; // bytes of the files that are taken from the prior backup unread
};

// Fills directories, links, files (with everything but their contents), names of `manifest` from
// the data directory; pg_control is left out, since it is copied last.
void scan_into_manifest(const std::string& data_directory,
                        const postgres::ScanRules& rules,
                        repository::Manifest& manifest);

// Decides what is done with each file. Files that the prior backup has keep its contents in the
// manifest: extents (places in its table of packs, which the caller puts into the manifest), digest
// and damaged pages. The files of `prior` are read to their end; one that `is_lost` is as good as
// not there.
BackupPlan plan_backup(repository::Manifest& manifest,
                       const ChangeRules& rules,
                       repository::ManifestReader& prior,
                       const std::function<bool(const repository::ManifestFile&)>& is_lost = {});

// The same without a prior backup: everything is copied. `page_size` decides which relation files
// are taken page by page.
BackupPlan plan_full_backup(repository::Manifest& manifest, std::uint32_t page_size);

} // namespace pgstrata::engine
