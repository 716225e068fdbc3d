// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/option_table.hpp"

#include <string_view>

namespace pgstrata::config {

// The default text of an option for a command, perhaps still by key; "" for none. Some paths differ
// when the program is called as pgbackrest.
std::string_view
default_text_for(const OptionRow& row, const CommandRow& command, bool is_pgbackrest_link);

} // namespace pgstrata::config
