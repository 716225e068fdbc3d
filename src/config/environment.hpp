// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::config {

// Adds what the variables beginning with `prefix` ("PGSTRATA_") say to options that `command` knows
// and that `settings` do not hold yet. Unknown names are added to `warnings`.
void add_environment(const Environment& environment,
                     std::string_view prefix,
                     const CommandRow& command,
                     Settings& settings,
                     std::vector<std::string>& warnings);

} // namespace pgstrata::config
