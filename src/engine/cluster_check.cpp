// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/cluster_check.hpp"

#include "pgstrata/util/path.hpp"

#include <cstdlib>
#include <memory>

namespace pgstrata::engine {

namespace {

// Both as the kernel sees them, since a data directory is often reached through a link.
std::string resolve(const std::string& path)
{
    const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr),
                                                               &std::free);
    return resolved ? resolved.get() : path;
}

} // namespace

repository::Cluster current_cluster(const repository::Repository& repository,
                                    const std::string& stanza)
{
    const auto ids = repository::list_archive_ids(repository, stanza);
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        if (const auto cluster = repository::read_cluster(repository, stanza, *id)) {
            return *cluster;
        }
    }
    throw Error(ErrorCode::file_missing,
                fmt::format("stanza '{}' does not exist in the repository '{}'",
                            stanza,
                            repository.storage().location()),
                "has stanza-create been run, and are --stanza and repo-path right?");
}

bool is_same_cluster(const postgres::ControlFile& control,
                     const repository::Cluster& cluster) noexcept
{
    return control.system_identifier == cluster.system_identifier &&
           control.major == cluster.id.major;
}

void check_identity(const postgres::ControlFile& control,
                    const repository::Cluster& cluster,
                    ErrorCode code)
{
    if (is_same_cluster(control, cluster)) {
        return;
    }
    throw Error(
        code,
        fmt::format("PostgreSQL version {}, system-id {} do not match the stanza's version {}, "
                    "system-id {}",
                    control.major,
                    control.system_identifier,
                    cluster.id.major,
                    cluster.system_identifier),
        "is this the right stanza and pg1-path? after an upgrade, stanza-upgrade is needed");
}

void check_archive_settings(postgres::Session& session, const ServerExpectation& expected)
{
    if (!expected.check_archive) {
        return;
    }
    const std::string mode = session.setting("archive_mode");
    if (mode == "off") {
        throw Error(ErrorCode::archive_disabled,
                    "archive_mode must be enabled",
                    "set archive_mode = on in postgresql.conf and restart the server");
    }
    if (mode == "always" && expected.refuse_archive_always) {
        throw Error(ErrorCode::feature_not_supported,
                    "archive_mode=always is not supported",
                    "set archive_mode = on, or --no-archive-mode-check when only one of the "
                    "servers archives here");
    }
    const std::string command = session.setting("archive_command");
    if (command.find("pgstrata") == std::string::npos &&
        command.find("pgbackrest") == std::string::npos) {
        throw Error(
            ErrorCode::archive_command_invalid,
            fmt::format("archive_command '{}' must contain pgstrata", command),
            "set archive_command = 'pgstrata --stanza=NAME archive-push %p' and reload the server");
    }
}

void check_server(postgres::Session& session,
                  const postgres::ControlFile& control,
                  const ServerExpectation& expected)
{
    const std::string directory = session.setting("data_directory");
    if (session.major() != control.major ||
        session.system_identifier() != control.system_identifier ||
        resolve(directory) != resolve(expected.data_directory)) {
        throw Error(
            ErrorCode::db_mismatch,
            fmt::format(
                "the server on port {} has version {} and data directory '{}', which do not match "
                "version {} and pg1-path '{}'",
                expected.port,
                session.major(),
                directory,
                control.major,
                expected.data_directory),
            "do pg1-port, pg1-socket-path and pg1-path belong to the same server?");
    }
}

} // namespace pgstrata::engine
