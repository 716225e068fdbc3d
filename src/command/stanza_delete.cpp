// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/stanza_delete.hpp"

#include "command/locks.hpp"
#include "command/stanza.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/path.hpp"

#include <unistd.h>

namespace pgstrata::command {

namespace {

constexpr unsigned kLeasePause = 1000; // milliseconds

// What is deleted is for good: that there is but one repository now does not tell which was meant.
unsigned repository_to_delete_in(const config::Config& config)
{
    const std::vector<unsigned>& indexes = config.repo_indexes();
    if (!config.has("repo") && (indexes.size() > 1 || indexes.front() != 1)) {
        throw Error(ErrorCode::option_required,
                    "stanza-delete command requires option: repo",
                    "--repo=N says in which repository");
    }
    return config.default_repo();
}

void check_stopped(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    if (!engine::has_stop_file(config.text("lock-path"), stanza)) {
        throw Error(ErrorCode::file_missing,
                    fmt::format("stop file does not exist for stanza '{}'", stanza),
                    "has the stop command been run on this host for this stanza?");
    }
    if (config.flag("force")) {
        return;
    }
    for (const unsigned index : config.pg_indexes()) {
        const std::string file = join_path(config.text("pg-path", index), "postmaster.pid");
        if (config.has("pg-path", index) && ::access(file.c_str(), F_OK) == 0) {
            throw Error(ErrorCode::pg_running,
                        fmt::format("unable to delete stanza '{}' while PostgreSQL is running: "
                                    "'{}' exists",
                                    stanza,
                                    file),
                        "shut PostgreSQL down, or use --force");
        }
    }
}

} // namespace

int run_stanza_delete(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    check_stanza_name(stanza);
    const unsigned index = repository_to_delete_in(config);
    using enum engine::LockType;
    const auto lock = take_locks(config, {archive, backup, restore}, {index});
    if (engine::has_stanza(*open_storage(config, index), stanza)) {
        check_stopped(config);
        const OpenedRepository opened = open_repository(config, index);
        engine::wait_for_lock(static_cast<std::uint64_t>(config.number("lock-wait")),
                              kLeasePause,
                              [&] { engine::delete_stanza(*opened.repository, stanza); });
        log::info("stanza '{}' is deleted from repo{}", stanza, index);
    } else {
        log::info("stanza '{}' does not exist on repo{}", stanza, index);
    }
    engine::remove_stop_file(config.text("lock-path"), stanza);
    return 0;
}

} // namespace pgstrata::command
