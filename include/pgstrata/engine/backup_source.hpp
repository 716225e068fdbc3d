// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace pgstrata::engine {

// --backup-standby: whether a standby's files are backed up.
enum class StandbyUse : std::uint8_t {
    never,
    preferred, // and the primary where there is no standby
    required,
};

// One server of the cluster that could be reached.
struct ServerState {
    unsigned index = 0; // N of pgN
    bool is_in_recovery = false;
    postgres::Lsn position; // replayed, or written on the primary
};

struct SourceChoice {
    unsigned source = 0;             // whose files are copied
    std::optional<unsigned> primary; // the one there is
    bool is_standby = false;         // the source
};

// Of several standbys the one that has replayed most. Throws Error(db_connect) when there is no
// server to copy from, or more than one primary.
SourceChoice choose_source(const std::vector<ServerState>& servers, StandbyUse use);

} // namespace pgstrata::engine
