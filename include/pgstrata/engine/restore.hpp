// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/progress.hpp"
#include "pgstrata/engine/recovery_settings.hpp"
#include "pgstrata/engine/restore_layout.hpp"
#include "pgstrata/repository/catalog.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

struct RestoreSource {
    unsigned index = 1;
    const repository::Repository* repository = nullptr; // outlives the restore
};

struct RestoreOptions {
    std::string stanza;
    LayoutOptions layout;
    std::string set; // label; empty chooses by the target
    repository::RecoveryTarget target;
    RecoverySettings settings; // target_timeline is filled in by the restore
    // Somebody asked for the type: else an offline backup is restored without recovery.
    bool is_type_given = false;
    bool is_forced = false;
    // What is right on the disk is kept. With is_forced, files with the manifest's size and time
    // are taken to be right unread.
    bool is_delta = false;
    std::size_t workers = 1;
};

struct RestoreReport {
    std::string label;
    unsigned repo_index = 1;
    std::uint64_t bytes = 0;          // of all files
    std::uint64_t bytes_compared = 0; // read from the disk
    std::uint64_t bytes_kept = 0;     // were on the disk already
    std::uint64_t bytes_fetched = 0;  // written from the repository; without pg_control
    std::uint64_t files = 0;
    bool is_delta = false; // the option counted
};

} // namespace pgstrata::engine
