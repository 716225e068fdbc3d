// SPDX-License-Identifier: PostgreSQL
#include "command/repository_access.hpp"
#include "command/server.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/layout.hpp"

#include <algorithm>

namespace pgstrata::command {

namespace {

struct CheckedRepository {
    OpenedRepository opened;
    repository::Cluster cluster;
};

// Ends a segment of WAL with something in it and waits for it everywhere.
void check_archiving(const config::Config& config,
                     const FoundServer& primary,
                     const std::vector<CheckedRepository>& repositories)
{
    const std::string& stanza = config.text("stanza");
    primary.session->create_restore_point("pgstrata archive check");
    const std::string name = primary.session->switch_wal();
    for (const auto& [opened, cluster] : repositories) {
        const auto segment = postgres::parse_wal_segment(name, cluster.wal_segment_size);
        if (!segment) {
            raise(ErrorCode::db_query, "the server named the WAL segment '{}'", name);
        }
        log::info("check repo{} archive for WAL (primary)", opened.index);
        const engine::WalWait wait = {stanza,
                                      cluster.id,
                                      cluster.wal_segment_size,
                                      static_cast<std::uint64_t>(config.number("archive-timeout")),
                                      opened.index,
                                      config.text("spool-path"),
                                      config.text("lock-path")};
        const auto archived = engine::wait_for_wal(
            *opened.repository, wait, *segment, *segment, primary.session.get());
        engine::check_own_wal(wait, config.text("pg-path", primary.index), archived);
        log::info("WAL segment {} successfully archived to '{}' on repo{}",
                  name,
                  fmt::format("{}/{}/{}",
                              opened.storage->location(),
                              repository::wal_directory(stanza, cluster.id, name),
                              repository::to_string(archived)),
                  opened.index);
    }
}

// Opens all repositories and proves that they can be used. Throws with the code of the first that
// cannot and what is wrong with each.
std::vector<CheckedRepository> check_repositories(const config::Config& config,
                                                  const postgres::ControlFile& control,
                                                  std::string_view role)
{
    const std::string& stanza = config.text("stanza");
    std::vector<CheckedRepository> repositories;
    std::optional<ErrorCode> code;
    const std::string failures = try_repositories(config.repo_indexes(), [&](unsigned index) {
        log::info("check repo{} configuration ({})", index, role);
        try {
            OpenedRepository opened = open_repository(config, index);
            repository::Cluster cluster = engine::current_cluster(*opened.repository, stanza);
            engine::check_identity(control, cluster, ErrorCode::file_invalid);
            check_access(opened, stanza);
            repositories.push_back({std::move(opened), cluster});
        } catch (const Error& error) {
            code = code.value_or(error.code());
            throw explain_access(error, config, index);
        }
    });
    if (code) {
        throw Error(*code, "unable to use the stanza's repositories:" + failures);
    }
    return repositories;
}

void check_stanza(const config::Config& config)
{
    const std::vector<FoundServer> servers = find_servers(config);
    if (servers.empty()) {
        throw Error(ErrorCode::config,
                    "no database found",
                    "is the server running, and are pg1-path, pg1-port and pg1-socket-path right?");
    }
    const FoundServer* const primary = find_primary(servers);
    const std::string_view role = primary != nullptr ? "primary" : "standby";
    const postgres::ControlFile& control =
        primary != nullptr ? primary->control : servers.front().control;
    if (config.text("backup-standby") != "n" &&
        std::ranges::none_of(servers, &FoundServer::is_in_recovery)) {
        log::warn("option backup-standby is set but there is no standby");
    }
    const auto repositories = check_repositories(config, control, role);
    if (primary != nullptr) {
        check_archiving(config, *primary, repositories);
    } else {
        log::info("switch wal not performed because this is a standby");
    }
}

// What is said of a stanza's own section only: the rest is known from the start.
void log_messages_of(const config::Config& stanza, const config::Config& all)
{
    const auto is_new = [](const std::vector<std::string>& known, const std::string& text) {
        return std::ranges::find(known, text) == known.end();
    };
    for (const std::string& text : stanza.warnings()) {
        if (is_new(all.warnings(), text)) {
            log::warn("{}", text);
        }
    }
    for (const std::string& text : stanza.notes()) {
        if (is_new(all.notes(), text)) {
            log::info("{}", text);
        }
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
        const config::Config of_stanza = config::load_config(with_stanza);
        log_messages_of(of_stanza, config);
        check_stanza(of_stanza);
    }
    return 0;
}

} // namespace pgstrata::command
