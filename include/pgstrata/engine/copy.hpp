// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/engine/progress.hpp"
#include "pgstrata/postgres/page.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <functional>
#include <limits>
#include <optional>
#include <string>

namespace pgstrata::engine {

struct CopyOptions {
    std::string data_directory;
    std::size_t workers = 1;
    std::optional<int> compress_level; // nullopt: frames are stored raw
    bool check_pages = false;
    postgres::PageCheck page_check;
    // The prior backup left pages from here on alone: replay of its WAL was to mend what is wrong
    // with them.
    postgres::Lsn unjudged_from{std::numeric_limits<std::uint64_t>::max()};
    std::uint32_t page_size = 8192;
    std::uint32_t segment_pages = 131072;
    // For the files of which only candidates are read; null where there are none.
    const postgres::ChangedBlocks* changes = nullptr;
    AuditRules audit;
    // What an earlier try of the same backup has made durable; null where there was none.
    const repository::DurableWork* durable = nullptr;
    // Set to keep journals, so that this try can be taken up again.
    std::optional<repository::JournalHeader> journal;
    // Called on the caller's thread every few seconds; throws when going on has no sense, such as
    // when the server has died or somebody else has taken the label over.
    std::function<void()> check_worthwhile;
};

// Reads what the plan names and stores in packs what the prior backup, whose table of packs the
// manifest has, does not: of relation files the pages that differ, other files whole. Completes the
// manifest's file entries; their extents are for settle_packs(). Files that vanished are left with
// content `empty` and are listed in the result; relation files that grew are read up to the planned
// size, and those that shrank are filled up with zero pages, since replay does the rest; other
// files are taken as they are when they are opened. Ends early with Error(terminated) when a signal
// arrived.
struct CopyResult {
    std::vector<bool> vanished; // by position in the manifest
    std::uint64_t read = 0;     // bytes
    std::uint64_t stored = 0;   // bytes, before compression; with what an earlier try has stored
};
CopyResult copy_files(const CopyOptions& options,
                      const BackupPlan& plan,
                      repository::Manifest& manifest,
                      repository::PackSet& packs,
                      Progress& progress);

// Takes the files that vanished out of the manifest.
void remove_vanished(repository::Manifest& manifest, const std::vector<bool>& vanished);

} // namespace pgstrata::engine
