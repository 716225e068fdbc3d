// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"

#include <string>
#include <vector>

// Making room for a restore in roots that check_roots() has checked. Links are removed, never
// followed; mount points stay, and so does what fsck keeps at the top of them. `keep` names files
// at the top of the data directory that stay.
namespace pgstrata::engine {

// Removes pg_control, wherever it is, and syncs that: from then on no server can start there.
void remove_control_files(const RestoreLayout& layout);

// Empties the roots and removes the files that links will lead to, after remove_control_files().
// PG_VERSION and the marker go last, so that force still counts after a clearing that was cut off.
void clear_roots(const RestoreLayout& layout, const std::vector<std::string>& keep);

// Removes what the manifest does not have, or has as something else: a link where a directory
// belongs, a directory where a file does. Files and links that belong there stay as they are.
void clean_roots(const RestoreLayout& layout,
                 const repository::Manifest& manifest,
                 const std::vector<std::string>& keep);

} // namespace pgstrata::engine
