// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/repository/retention.hpp"

#include <vector>

namespace pgstrata::command {

// The rules of one repository, taken from the configuration before anything is changed.
struct ExpireTarget {
    unsigned index = 1;
    repository::RetentionPolicy policy;
};

// Of all repositories that the command works on. Throws Error(option_invalid_value).
std::vector<ExpireTarget> expire_targets(const config::Config& config);

// Expires in every repository and goes on when one fails. Throws Error(command) at the end then,
// Error(repo_invalid) when none could be opened. The caller holds the backup locks.
void expire_repositories(const config::Config& config,
                         const std::vector<ExpireTarget>& targets,
                         const repository::RetentionRequest& request);

} // namespace pgstrata::command
