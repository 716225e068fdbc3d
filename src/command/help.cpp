// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/config/help.hpp"

#include "command/output.hpp"

#include "pgstrata/command/commands.hpp"

namespace pgstrata::command {

int run_help(const config::Config& config)
{
    print(config::render_help(config));
    return 0;
}

} // namespace pgstrata::command
