// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/session.hpp"
#include "pgstrata/repository/catalog.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// The newest generation of a stanza, whatever is wrong with those before it. Throws
// Error(file_missing) with a hint when the stanza was not created.
repository::Cluster current_cluster(const repository::Repository& repository,
                                    const std::string& stanza);

// Whether pg_control is of that generation: version and system identifier.
bool is_same_cluster(const postgres::ControlFile& control,
                     const repository::Cluster& cluster) noexcept;

// Throws Error(`code`) when pg_control is another cluster's or version's than the stanza's.
void check_identity(const postgres::ControlFile& control,
                    const repository::Cluster& cluster,
                    ErrorCode code);

struct ServerExpectation {
    std::string data_directory;
    unsigned port = 5432;
    bool check_archive = true;         // archive-check: archive_mode and archive_command must fit
    bool refuse_archive_always = true; // archive-mode-check
};

// Throws Error(archive_disabled), Error(feature_not_supported) for archive_mode=always,
// Error(archive_command_invalid) when archive_command calls neither pgstrata nor pgbackrest;
// nothing where it is not to be checked.
void check_archive_settings(postgres::Session& session, const ServerExpectation& expected);

// Throws Error(db_mismatch) when the server has another data directory or version than pg_control.
void check_server(postgres::Session& session,
                  const postgres::ControlFile& control,
                  const ServerExpectation& expected);

} // namespace pgstrata::engine
