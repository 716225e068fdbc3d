// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/commands.hpp"
#include "pgstrata/util/error.hpp"

namespace pgstrata::command {

int run_command(const config::Config& config, const config::Environment& environment)
{
    switch (config.command().id) {
        using enum config::Command;
    case annotate:
        return run_annotate(config);
    case archive_get:
        return run_archive_get(config);
    case archive_push:
        return run_archive_push(config);
    case backup:
        return run_backup(config);
    case check:
        return run_check(config, environment);
    case expire:
        return run_expire(config);
    case help:
        return run_help(config);
    case info:
        return run_info(config);
    case repo_get:
        return run_repo_get(config);
    case repo_ls:
        return run_repo_ls(config);
    case restore:
        return run_restore(config);
    case stanza_create:
        return run_stanza_create(config);
    case stanza_delete:
        return run_stanza_delete(config);
    case stanza_upgrade:
        return run_stanza_upgrade(config);
    case start:
        return run_start(config);
    case stop:
        return run_stop(config);
    case verify:
        return run_verify(config);
    case version:
        return run_version(config);
    default:
        throw Error(ErrorCode::feature_not_supported,
                    fmt::format("command '{}' is not supported yet", config.command().name),
                    "'pgstrata help' lists the commands");
    }
}

} // namespace pgstrata::command
