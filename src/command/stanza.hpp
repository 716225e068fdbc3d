// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/postgres/control_file.hpp"

#include <string>

// What the commands that make, change and delete a stanza share.
namespace pgstrata::command {

// Throws Error(option_invalid_value) for a name that cannot be a directory of ours.
void check_stanza_name(const std::string& stanza);

// The cluster in pg1-path; with the option online that of the only primary among the servers, which
// are asked whether they are the same and archive as they should. Throws Error(db_connect) where
// there is none, or more than one.
postgres::ControlFile read_own_cluster(const config::Config& config);

} // namespace pgstrata::command
