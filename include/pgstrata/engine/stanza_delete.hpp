// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"

#include <string>

namespace pgstrata::engine {

// Whether a repository has anything of the stanza, be it what a deletion that was cut off has left.
bool has_stanza(const storage::Storage& storage, const std::string& stanza);

// Removes all of a stanza. First every backup.json, then every cluster.json, then the rest, so that
// wherever it is cut off nothing is left that looks usable, and calling it again completes it.
// Throws Error(lock_acquire) before anything is removed when a backup is in progress, on this host
// or another; one that begins from then on is refused. See kDeletionLabel. Throws
// Error(path_remove) when somebody else has taken the deletion over meanwhile.
void delete_stanza(const repository::Repository& repository, const std::string& stanza);

} // namespace pgstrata::engine
