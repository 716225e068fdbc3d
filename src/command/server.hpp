// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/postgres/session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace pgstrata::command {

// Opens a session to pgN, the default one for 0.
std::unique_ptr<postgres::Session> connect_server(const config::Config& config, unsigned index = 0);

// What pgN's server must be like. The options about archiving are read where the command has them,
// else nothing is asked of its archiving.
engine::ServerExpectation server_expectation(const config::Config& config, unsigned index = 0);

// Seconds in a setting as the server writes it ("5min", "90s"); nullopt for anything else.
std::optional<std::uint64_t> setting_seconds(std::string_view text);

// WARN when the server may let the start of a backup wait for a checkpoint for longer than
// db-timeout, which cancels it.
void warn_of_late_checkpoint(const config::Config& config, postgres::Session& session);

// A server of the stanza that answered and is what the configuration says.
struct FoundServer {
    unsigned index = 0; // N of pgN
    std::unique_ptr<postgres::Session> session;
    postgres::ControlFile control;
    bool is_in_recovery = false;
};

// Asks every pgN that has a path; one that cannot be connected to, or whose path has no cluster
// that can be opened, is passed over with a WARN. Whether WAL is archived is asked of a primary
// only. Throws what find_primary(), engine::check_server() and engine::check_archive_settings()
// throw.
std::vector<FoundServer> find_servers(const config::Config& config);

// The only primary, null when there are standbys only. Throws Error(db_connect) for two.
const FoundServer* find_primary(const std::vector<FoundServer>& servers);

} // namespace pgstrata::command
