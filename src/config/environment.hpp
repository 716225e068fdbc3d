// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::config {

// What the names of variables begin with, and those of the program that we are linked as.
inline constexpr std::string_view kVariablePrefix = "PGSTRATA_";
inline constexpr std::string_view kLinkVariablePrefix = "PGBACKREST_";

// Adds what the variables beginning with `prefix` ("PGSTRATA_") say to options that `command` knows
// and that `settings` do not hold yet. Unknown names are added to `warnings`.
void add_environment(const Environment& environment,
                     std::string_view prefix,
                     const CommandRow& command,
                     Settings& settings,
                     std::vector<std::string>& warnings);

} // namespace pgstrata::config
