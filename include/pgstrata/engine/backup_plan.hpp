// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <cstdint>
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

// What is to be copied, decided before the first byte is read.
struct BackupPlan {
    std::vector<CopyUnit>
        units; // large files first, then the small ones in the order of their paths
    std::uint64_t bytes = 0;
};

// Fills directories, links, files (with everything but their contents), names of `manifest` from
// the data directory; pg_control is left out, since it is copied last.
void scan_into_manifest(const std::string& data_directory,
                        const postgres::ScanRules& rules,
                        repository::Manifest& manifest);

// `page_size` decides which relation files are taken page by page.
BackupPlan plan_full_backup(repository::Manifest& manifest, std::uint32_t page_size);

} // namespace pgstrata::engine
