// SPDX-License-Identifier: PostgreSQL
#include "command/server.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/error_names.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_archive.hpp"

namespace pgstrata::command {

namespace {

// The servers of one stanza that could be reached.
struct Servers {
    std::unique_ptr<postgres::Session> primary;
    postgres::ControlFile control; // of the primary, else of a standby
    unsigned standbys = 0;
};

void add_server(const config::Config& config, unsigned index, Servers& servers)
{
    std::unique_ptr<postgres::Session> session;
    try {
        session = connect_server(config, index);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::db_connect) {
            throw;
        }
        log::warn("unable to check pg{}: [{}] {}", index, error_name(error.code()), error.what());
        return;
    }
    const engine::ServerExpectation expected = server_expectation(config, index);
    const auto control = postgres::read_control_file(expected.data_directory).control;
    engine::check_server(*session, control, expected);
    if (session->is_in_recovery()) {
        ++servers.standbys;
        if (!servers.primary) {
            servers.control = control;
        }
        return;
    }
    if (servers.primary) {
        raise(ErrorCode::db_connect,
              "more than one primary cluster found, the second is pg{}",
              index);
    }
    servers.primary = std::move(session);
    servers.control = control;
}

Servers find_servers(const config::Config& config)
{
    Servers servers;
    for (const unsigned index : config.pg_indexes()) {
        if (config.has("pg-path", index)) {
            add_server(config, index, servers);
        }
    }
    if (!servers.primary && servers.standbys == 0) {
        throw Error(ErrorCode::config,
                    "no database found",
                    "is the server running, and are pg1-path, pg1-port and pg1-socket-path right?");
    }
    return servers;
}

struct CheckedRepository {
    OpenedRepository opened;
    repository::Cluster cluster;
};

// Ends a segment of WAL with something in it and waits for it everywhere.
void check_archiving(const config::Config& config,
                     postgres::Session& primary,
                     const std::vector<CheckedRepository>& repositories)
{
    const std::string& stanza = config.text("stanza");
    primary.create_restore_point("pgstrata archive check");
    const std::string name = primary.switch_wal();
    for (const auto& [opened, cluster] : repositories) {
        const auto segment = postgres::parse_wal_segment(name, cluster.wal_segment_size);
        if (!segment) {
            raise(ErrorCode::db_query, "the server named the WAL segment '{}'", name);
        }
        log::info("check repo{} archive for WAL (primary)", opened.index);
        engine::wait_for_wal(*opened.repository,
                             {stanza,
                              cluster.id,
                              cluster.wal_segment_size,
                              static_cast<std::uint64_t>(config.number("archive-timeout")),
                              opened.index},
                             *segment,
                             *segment,
                             &primary);
        const auto found = repository::find_wal(*opened.repository, stanza, cluster.id, name);
        log::info("WAL segment {} successfully archived to '{}' on repo{}",
                  name,
                  fmt::format("{}/{}/{}",
                              opened.storage->location(),
                              repository::wal_directory(stanza, cluster.id, name),
                              repository::to_string(found.at(0))),
                  opened.index);
    }
}

void check_stanza(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    const Servers servers = find_servers(config);
    const std::string_view role = servers.primary ? "primary" : "standby";
    std::vector<CheckedRepository> repositories;
    for (const unsigned index : config.repo_indexes()) {
        log::info("check repo{} configuration ({})", index, role);
        OpenedRepository opened = open_repository(config, index);
        repository::Cluster cluster = engine::current_cluster(*opened.repository, stanza);
        engine::check_identity(servers.control, cluster, ErrorCode::file_invalid);
        repositories.push_back({std::move(opened), cluster});
    }
    if (servers.primary) {
        check_archiving(config, *servers.primary, repositories);
    } else {
        log::info("switch wal not performed because this is a standby");
    }
}

} // namespace

int run_check(const config::Config& config, const config::Environment& environment)
{
    if (config.has("stanza")) {
        check_stanza(config);
        return 0;
    }
    if (config.stanzas().empty()) {
        log::warn("no stanzas found to check");
    }
    for (const std::string& stanza : config.stanzas()) {
        log::info("check stanza '{}'", stanza);
        config::Environment with_stanza = environment;
        with_stanza.arguments.push_back("--stanza=" + stanza);
        check_stanza(config::load_config(with_stanza));
    }
    return 0;
}

} // namespace pgstrata::command
