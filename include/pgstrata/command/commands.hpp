// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"

// A function a command: reads the configuration, calls the engine, prints what it found and returns
// the exit status. Failures throw Error. The log is configured and the umask set before one is
// called.
namespace pgstrata::command {

// Runs the command that the configuration names. `environment` is where the configuration came
// from.
int run_command(const config::Config& config, const config::Environment& environment);

int run_annotate(const config::Config& config);
// 0 when the file is there now, 1 when it is proved that no repository has it.
int run_archive_get(const config::Config& config);
int run_archive_push(const config::Config& config);
int run_backup(const config::Config& config);
// Reads the configuration anew for each stanza when none is given.
int run_check(const config::Config& config, const config::Environment& environment);
int run_expire(const config::Config& config);
int run_help(const config::Config& config);
int run_info(const config::Config& config);
// 1 when the file is missing and --ignore-missing is given.
int run_repo_get(const config::Config& config);
int run_repo_ls(const config::Config& config);
int run_restore(const config::Config& config);
int run_stanza_create(const config::Config& config);
int run_stanza_delete(const config::Config& config);
int run_stanza_upgrade(const config::Config& config);
int run_start(const config::Config& config);
int run_stop(const config::Config& config);
// Throws Error(command) when anything is wrong with what it verified, after it has said what.
int run_verify(const config::Config& config);
int run_version(const config::Config& config);

} // namespace pgstrata::command
