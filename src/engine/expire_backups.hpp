// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/expire_catalog.hpp"

#include "pgstrata/engine/expire.hpp"

namespace pgstrata::engine {

// Removes the backups of the plan. False when another host has begun a backup that may build on one
// of them, has annotated one or is at work on one: then those stay or are given back, and what was
// planned for the WAL does not hold any more. When a signal comes before the last summary went,
// what is needed is given back, and then Error(terminated) is thrown.
bool remove_backups(const ExpireOptions& options,
                    const repository::Repository& repository,
                    const ExpireCatalog& found,
                    const repository::RetentionPlan& plan);

// The line of the log about each of them, which a dry run has too.
void log_removal(const ExpireOptions& options, const std::string& label);

// Removes what aborted backups and cut-off removals have left, but for what may still be needed: by
// a backup that refers to it, or by one that goes on with it. False as above.
bool remove_dead_backups(const ExpireOptions& options,
                         const repository::Repository& repository,
                         const ExpireCatalog& found,
                         const repository::RetentionPlan& plan);

// Gives back backups that have lost their summary to a removal that was cut off before it looked
// for what had begun to build on them, and that something builds on. Returns whether there are any:
// then the catalog is another one.
bool give_back_cut_off(const ExpireOptions& options,
                       const repository::Repository& repository,
                       const ExpireCatalog& found);

// Removes old records of backups that are gone.
void remove_history(const ExpireOptions& options,
                    const repository::Repository& repository,
                    const ExpireCatalog& found,
                    const repository::RetentionPlan& plan);

} // namespace pgstrata::engine
