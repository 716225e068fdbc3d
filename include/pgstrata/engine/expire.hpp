// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/retention.hpp"

#include <string>

namespace pgstrata::engine {

struct ExpireOptions {
    std::string stanza;
    repository::RetentionPolicy policy;
    repository::RetentionRequest request;
    unsigned repo_index = 1; // for messages
    bool is_dry_run = false; // everything is logged and nothing is changed
};

struct ExpireReport {
    bool has_set = false;        // the set that was asked for is here
    std::size_t backups = 0;     // removed, or to be removed
    std::uint64_t wal_files = 0; // likewise
};

// Removes what the rules of retention do not keep, and what aborted backups and earlier removals
// have left. A listing that fails removes nothing. A run that is cut off anywhere leaves what a
// later one finishes: a backup loses its summary first, and those that build on it before it. While
// a backup is made elsewhere, what it may build on stays. The caller holds this host's backup lock.
ExpireReport expire(const ExpireOptions& options, const repository::Repository& repository);

} // namespace pgstrata::engine
