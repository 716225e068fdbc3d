// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/pack.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// Throws Error(file_missing) unless all packs (ascending by name) are there with the sizes that
// they should have. Asks for listings only.
void check_packs(const repository::Repository& repository,
                 const std::string& stanza,
                 const std::vector<repository::PackInfo>& needed);

} // namespace pgstrata::engine
