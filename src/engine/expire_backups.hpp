// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/expire_catalog.hpp"

#include "pgstrata/engine/expire.hpp"

namespace pgstrata::engine {

// Removes the backups of the plan. False when another host has begun a backup that may build on one
// of them, or has annotated one: then those stay or are given back, and what was planned for the
// WAL does not hold any more.
bool remove_backups(const ExpireOptions& options,
                    const repository::Repository& repository,
                    const ExpireCatalog& found,
                    const repository::RetentionPlan& plan);

// Removes what aborted backups and cut-off removals have left, but for what may still be needed: by
// a backup that refers to it, or by one that goes on with it.
void remove_dead_backups(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const ExpireCatalog& found,
                         const repository::RetentionPlan& plan);

// Removes old records of backups that are gone.
void remove_history(const ExpireOptions& options,
                    const repository::Repository& repository,
                    const ExpireCatalog& found,
                    const repository::RetentionPlan& plan);

} // namespace pgstrata::engine
