// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_push.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/path.hpp"

#include <sys/stat.h>

namespace pgstrata::command {

namespace {

bool is_working_directory(const std::string& directory)
{
    struct stat here {};
    struct stat there {};
    return ::stat(".", &here) == 0 && ::stat(directory.c_str(), &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

std::string wal_path(const config::Config& config)
{
    const std::string& path = config.parameters().front();
    if (path.starts_with('/')) {
        return path;
    }
    if (!config.has("pg-path")) {
        throw Error(ErrorCode::option_required,
                    fmt::format("option 'pg1-path' is needed for the relative WAL path '{}'", path),
                    "does archive_command pass %f instead of %p?");
    }
    // PostgreSQL calls archive_command in its data directory: from anywhere else the name may be
    // another cluster's.
    const std::string& directory = config.text("pg-path");
    if (!is_working_directory(directory)) {
        throw Error(
            ErrorCode::db_mismatch,
            fmt::format(
                "the working directory is not the pg1-path '{}', and the WAL path '{}' is relative",
                directory,
                path),
            "is pg1-path the data_directory of the server that archives?");
    }
    return join_path(directory, path);
}

engine::PushOptions push_options(const config::Config& config)
{
    engine::PushOptions options;
    options.stanza = config.text("stanza");
    options.path = wal_path(config);
    options.check_header = config.flag("archive-header-check");
    options.warn_duplicates = config.flag("archive-mode-check");
    options.workers = static_cast<std::size_t>(config.number("process-max"));
    if (config.text("compress-type") != "none") {
        options.compress_level = static_cast<int>(config.number("compress-level"));
    }
    return options;
}

// WAL of another cluster must not get in, whatever the other repositories say.
void check_identities(const config::Config& config, const std::vector<engine::PushTarget>& targets)
{
    if (config.has("pg-path")) {
        const auto control = postgres::read_control_file(config.text("pg-path")).control;
        for (const engine::PushTarget& target : targets) {
            engine::check_identity(control, target.cluster, ErrorCode::archive_mismatch);
        }
        return;
    }
    const repository::Cluster& first = targets.front().cluster;
    for (const engine::PushTarget& target : targets) {
        if (target.cluster.system_identifier != first.system_identifier ||
            target.cluster.id.major != first.id.major) {
            throw Error(ErrorCode::archive_mismatch,
                        fmt::format("the stanza is of different clusters in repo{} and repo{}",
                                    targets.front().index,
                                    target.index),
                        "has stanza-upgrade been run for both?");
        }
    }
}

} // namespace

int run_archive_push(const config::Config& config)
{
    const engine::PushOptions options = push_options(config);
    engine::check_stop_file(config.text("lock-path"), options.stanza);
    std::vector<OpenedRepository> repositories;
    std::vector<engine::PushTarget> targets;
    std::string failures = try_repositories(config.repo_indexes(), [&](unsigned index) {
        OpenedRepository opened = open_repository(config, index);
        targets.push_back({index,
                           opened.repository.get(),
                           engine::current_cluster(*opened.repository, options.stanza)});
        repositories.push_back(std::move(opened));
    });
    if (targets.empty()) {
        raise_no_repository(failures);
    }
    check_identities(config, targets);
    for (const engine::PushFailure& failure : engine::push_wal(options, targets)) {
        failures += "\n" + describe_failure(failure.index, failure.error);
    }
    if (!failures.empty()) {
        throw Error(ErrorCode::command,
                    "archive-push command encountered error(s):" + failures,
                    "PostgreSQL keeps the file and tries again");
    }
    log::info("pushed WAL file '{}' to the archive", file_name(options.path));
    return 0;
}

} // namespace pgstrata::command
