// SPDX-License-Identifier: PostgreSQL
#include "command/stanza.hpp"

#include "command/server.hpp"

#include "pgstrata/repository/layout.hpp"

namespace pgstrata::command {

void check_stanza_name(const std::string& stanza)
{
    if (!repository::is_valid_stanza_name(stanza)) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' cannot be the name of a stanza", stanza),
                    "it may hold letters, digits, '.', '_' and '-'");
    }
}

postgres::ControlFile read_own_cluster(const config::Config& config)
{
    auto control = postgres::read_control_file(config.text("pg-path")).control;
    if (config.flag("online")) {
        engine::check_server(*connect_server(config), control, server_expectation(config));
    }
    return control;
}

} // namespace pgstrata::command
