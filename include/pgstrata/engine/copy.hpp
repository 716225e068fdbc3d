// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/engine/progress.hpp"
#include "pgstrata/postgres/page.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <functional>
#include <optional>
#include <string>

namespace pgstrata::engine {

struct CopyOptions {
    std::string data_directory;
    std::size_t workers = 1;
    std::optional<int> compress_level; // nullopt: frames are stored raw
    bool check_pages = false;
    postgres::PageCheck page_check;
    std::uint32_t page_size = 8192;
    std::uint32_t segment_pages = 131072;
    // Called on the caller's thread every few seconds; throws when going on has no sense, such as
    // when the server has died.
    std::function<void()> check_source;
};

// Reads what the plan names into packs and completes the manifest's file entries. Files that
// vanished are left with content `empty` and are listed in the result; files that grew are read up
// to the planned size; relation files that shrank are filled up with zero pages, since replay
// truncates them again; other files that shrank keep what there was. Ends early with
// Error(terminated) when a signal arrived.
struct CopyResult {
    std::vector<bool> vanished; // by position in the manifest
    std::uint64_t bytes = 0;    // read
};
CopyResult copy_files(const CopyOptions& options,
                      const BackupPlan& plan,
                      repository::Manifest& manifest,
                      repository::PackSet& packs,
                      Progress& progress);

} // namespace pgstrata::engine
