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
                    stanza.size() > repository::kLongestStanzaName
                        ? fmt::format("it may be no longer than {} characters",
                                      repository::kLongestStanzaName)
                        : "it may hold letters, digits, '.', '_' and '-', and begins with none of "
                          "'.' and '-'");
    }
}

postgres::ControlFile read_own_cluster(const config::Config& config)
{
    if (!config.flag("online")) {
        return postgres::read_control_file(config.text("pg-path")).control;
    }
    const std::vector<FoundServer> servers = find_servers(config);
    const FoundServer* const primary = find_primary(servers);
    if (primary == nullptr) {
        throw Error(ErrorCode::db_connect,
                    servers.empty() ? "unable to find primary cluster: no server could be asked"
                                    : "unable to find primary cluster: the server is in recovery",
                    "is the primary running, and are pg1-path, pg1-port and pg1-socket-path right? "
                    "--no-online takes the cluster in pg1-path as it is");
    }
    return primary->control;
}

} // namespace pgstrata::command
