// SPDX-License-Identifier: PostgreSQL
#include "engine/stopped_cluster.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace pgstrata::engine {

namespace {

bool has_pid_file(const std::string& data_directory)
{
    return ::access(join_path(data_directory, "postmaster.pid").c_str(), F_OK) == 0;
}

Error running()
{
    return {ErrorCode::pg_running,
            "--no-online passed but postmaster.pid exists - looks like PostgreSQL is running",
            "stop PostgreSQL and try again, or use --force if it is certainly not running"};
}

} // namespace

StoppedCluster::StoppedCluster(const BackupOptions& options, Buffer control)
    : options_(options), control_(std::move(control))
{
    if (!has_pid_file(options_.data_directory)) {
        return;
    }
    if (!options_.is_forced) {
        throw Error(running());
    }
    log::warn("--no-online passed and postmaster.pid exists but --force was passed so backup will "
              "continue though it looks like PostgreSQL is running and the backup will probably "
              "not be consistent");
}

void StoppedCluster::check() const
{
    if (options_.is_forced) {
        return;
    }
    if (has_pid_file(options_.data_directory)) {
        throw Error(running());
    }
    const postgres::ControlFileCopy now =
        postgres::read_control_file(options_.data_directory, options_.pg_version_force);
    if (!std::ranges::equal(now.bytes.view(), control_.view())) {
        throw Error(ErrorCode::pg_running,
                    "PostgreSQL was started while a backup with --no-online ran",
                    "stop PostgreSQL and take the backup again, or take one of the running server");
    }
}

} // namespace pgstrata::engine
