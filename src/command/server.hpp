// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/postgres/session.hpp"

#include <memory>

namespace pgstrata::command {

// Opens a session to pgN, the default one for 0.
std::unique_ptr<postgres::Session> connect_server(const config::Config& config, unsigned index = 0);

// What pgN's server must be like. The options about archiving are read where the command has them,
// else nothing is asked of its archiving.
engine::ServerExpectation server_expectation(const config::Config& config, unsigned index = 0);

} // namespace pgstrata::command
