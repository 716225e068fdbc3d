// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"

#include <string>

namespace pgstrata::config {

// The three levels of help by the number of parameters: the commands, one command's options, one
// option.
std::string render_help(const Config& config);
// The table as the body of pgstrata.conf(5) (roff, one .TP an option); a test holds it against
// man/.
std::string render_option_manual();

} // namespace pgstrata::config
