// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/expire.hpp"

namespace pgstrata::engine {

// Removes WAL, history files and records of dropped WAL of one generation, the oldest first.
// Returns the number of objects.
std::uint64_t remove_wal(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const repository::ArchivePlan& plan);

} // namespace pgstrata::engine
