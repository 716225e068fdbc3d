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

// Makes missing roots and checks the others: Error(path_open) for another owner or missing rights,
// Error(path_not_empty) when one holds anything, or Error(file_exists) when a file is where a link
// will lead, and `is_forced` is false, Error(link_destination) when links of this host lead two of
// them to places that overlap. --force counts only where PG_VERSION or the marker shows that the
// directory was a cluster; else a WARN says so and it must be empty.
void prepare_roots(const RestoreLayout& layout, bool is_forced);

// Empties the roots and removes the files that links will lead to: pg_control goes first and is
// synced, so that from then on no server can start there; PG_VERSION and the marker go last, so
// that force still counts after a clearing that was cut off. `keep` names files at the top of the
// data directory that stay. Links are removed, never followed; mount points stay.
void clear_roots(const RestoreLayout& layout, const std::vector<std::string>& keep);

} // namespace pgstrata::engine
