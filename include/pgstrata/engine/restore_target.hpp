// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// In the data directory while a restore runs, so that a cut-off restore is known as ours and can be
// repeated.
inline constexpr std::string_view kRestoreMarker = "backup.manifest";

// Throws Error(pg_running) when postmaster.pid is there.
void check_not_running(const std::string& data_directory);

// --force and --delta.
struct ReplaceOptions {
    bool is_forced = false;
    bool is_delta = false;
};

// Checks the roots that are there, and the directories that those of tablespaces are in:
// Error(path_open) for another owner or missing rights, Error(path_not_empty) when a root holds
// anything, or Error(file_exists) when a file is where a link will lead, and neither option is set,
// Error(path_create) when a missing one cannot be made, Error(link_destination) when links of this
// host lead two of them to places that overlap. The options count only where PG_VERSION or the
// marker shows that the directory was a cluster; else a WARN says so and it must be empty. Returns
// those that count. Changes nothing.
ReplaceOptions check_roots(const RestoreLayout& layout, ReplaceOptions options);

// Makes the roots that are missing, and the directories of files that links will lead to, with what
// is missing above them. None of them can be written to by others, whatever the umask.
void make_roots(const RestoreLayout& layout);

} // namespace pgstrata::engine
