// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/backup_source.hpp"

#include "pgstrata/util/error.hpp"

namespace pgstrata::engine {

namespace {

[[noreturn]] void raise_no_primary()
{
    throw Error(ErrorCode::db_connect,
                "unable to find primary cluster: the server is in recovery",
                "run the backup on the primary, or take it from the standby with "
                "--backup-standby=y");
}

} // namespace

SourceChoice choose_source(const std::vector<ServerState>& servers, StandbyUse use)
{
    SourceChoice choice;
    const ServerState* standby = nullptr;
    for (const ServerState& server : servers) {
        if (!server.is_in_recovery) {
            if (choice.primary) {
                raise(ErrorCode::db_connect,
                      "more than one primary cluster found: pg{} and pg{}",
                      *choice.primary,
                      server.index);
            }
            choice.primary = server.index;
        } else if (standby == nullptr || server.position > standby->position) {
            standby = &server;
        }
    }
    if (use != StandbyUse::never && standby != nullptr) {
        choice.source = standby->index;
        choice.is_standby = true;
        return choice;
    }
    if (use == StandbyUse::required) {
        throw Error(
            ErrorCode::db_connect,
            "unable to find standby cluster: no server that could be reached is in recovery",
            "is the standby running? --backup-standby=prefer takes the primary then");
    }
    if (!choice.primary) {
        raise_no_primary();
    }
    choice.source = *choice.primary;
    return choice;
}

} // namespace pgstrata::engine
