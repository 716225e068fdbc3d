// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/repository/retention.hpp"

#include <map>
#include <string>
#include <string_view>

namespace pgstrata::command {

// Letters, digits, '-' and '_'.
bool is_schedule_name(std::string_view text);
// "daily=7,weekly=4": throws Error(option_invalid_value) naming `option`.
repository::KeepCounts parse_keep_counts(std::string_view text, const std::string& option);
// "daily=7d,monthly=1y": seconds by name. Throws likewise.
std::map<std::string, std::uint64_t> parse_schedules(std::string_view text,
                                                     const std::string& option);

// An option that is a time, in whole seconds: what is less than one counts as one.
std::uint64_t seconds_of(const config::Config& config, std::string_view option, unsigned index = 0);

// The rules of one repository; what the command at hand does not know is not set.
repository::RetentionPolicy retention_policy(const config::Config& config, unsigned index);

} // namespace pgstrata::command
