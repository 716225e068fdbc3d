// SPDX-License-Identifier: PostgreSQL
#include "command/output.hpp"

#include "pgstrata/command/commands.hpp"

#include <fmt/format.h>

namespace pgstrata::command {

namespace {

// The release of pgBackRest whose commands, options and output we answer to under its name.
constexpr std::string_view kLinkVersion = "2.60.0";
constexpr unsigned kLinkVersionNumber = 2'060'000;

} // namespace

int run_version(const config::Config& config)
{
    const bool is_link = config.is_pgbackrest_link();
    if (config.text("output") == "num") {
        print(fmt::format("{}\n", is_link ? kLinkVersionNumber : PGSTRATA_VERSION_NUMBER));
    } else {
        print(is_link ? fmt::format("pgBackRest {}\n", kLinkVersion)
                      : fmt::format("pgstrata {}\n", PGSTRATA_VERSION));
    }
    return 0;
}

} // namespace pgstrata::command
