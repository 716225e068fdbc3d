// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/expire.hpp"

namespace pgstrata::engine {

// Whether the plan lets go of any segment of the generation, whenever that was stored. Lists no
// more of the archive than what lies before the WAL that is kept without gaps.
bool has_wal_to_remove(const ExpireOptions& options,
                       const repository::Repository& repository,
                       const repository::ArchivePlan& plan);

// Removes WAL, history files and records of dropped WAL of one generation, the oldest first.
// Returns the number of objects.
std::uint64_t remove_wal(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const repository::ArchivePlan& plan);

} // namespace pgstrata::engine
