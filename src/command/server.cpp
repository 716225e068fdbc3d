// SPDX-License-Identifier: PostgreSQL
#include "command/server.hpp"

#include "pgstrata/command/error_names.hpp"
#include "pgstrata/log/log.hpp"

#include <array>
#include <charconv>

namespace pgstrata::command {

namespace {

struct TimeUnit {
    std::string_view name;
    std::uint64_t seconds = 0;
};

// Those that PostgreSQL shows settings in that count seconds.
constexpr std::array<TimeUnit, 4> kTimeUnits{{{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}}};
constexpr std::uint64_t kMilliseconds = 1000; // in a second

} // namespace

std::unique_ptr<postgres::Session> connect_server(const config::Config& config, unsigned index)
{
    postgres::SessionOptions options;
    options.socket_path = config.text("pg-socket-path", index);
    options.port = static_cast<std::uint16_t>(config.number("pg-port", index));
    options.user = config.text("pg-user", index);
    options.database = config.text("pg-database", index);
    options.timeout_milliseconds = static_cast<std::uint64_t>(config.number("db-timeout"));
    options.application_name = fmt::format("pgstrata [{}]", config.command().name);
    return postgres::connect(options);
}

engine::ServerExpectation server_expectation(const config::Config& config, unsigned index)
{
    engine::ServerExpectation expected;
    expected.data_directory = config.text("pg-path", index);
    expected.port = static_cast<unsigned>(config.number("pg-port", index));
    expected.check_archive = config.flag("archive-check");
    expected.refuse_archive_always = config.flag("archive-mode-check");
    return expected;
}

std::optional<std::uint64_t> setting_seconds(std::string_view text)
{
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc() || number > UINT32_MAX) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    for (const TimeUnit& unit : kTimeUnits) {
        if (text == unit.name) {
            return number * unit.seconds;
        }
    }
    return std::nullopt;
}

void warn_of_late_checkpoint(const config::Config& config, postgres::Session& session)
{
    if (config.flag("start-fast")) {
        return;
    }
    const auto checkpoint = setting_seconds(session.setting("checkpoint_timeout"));
    const std::uint64_t limit =
        static_cast<std::uint64_t>(config.number("db-timeout")) / kMilliseconds;
    if (checkpoint && limit <= *checkpoint) {
        log::warn("start-fast is disabled and db-timeout ({}s) is not longer than the server's "
                  "checkpoint_timeout ({}s): the backup may fail before it starts",
                  limit,
                  *checkpoint);
    }
}

namespace {

// Whether another pgN may do in its place.
bool is_passed_over(ErrorCode code) noexcept
{
    return code == ErrorCode::db_connect || code == ErrorCode::file_missing ||
           code == ErrorCode::file_open;
}

} // namespace

const FoundServer* find_primary(const std::vector<FoundServer>& servers)
{
    const FoundServer* primary = nullptr;
    for (const FoundServer& server : servers) {
        if (!server.is_in_recovery && primary != nullptr) {
            raise(ErrorCode::db_connect,
                  "more than one primary cluster found: pg{} and pg{}",
                  primary->index,
                  server.index);
        }
        primary = server.is_in_recovery ? primary : &server;
    }
    return primary;
}

std::vector<FoundServer> find_servers(const config::Config& config)
{
    std::vector<FoundServer> servers;
    for (const unsigned index : config.pg_indexes()) {
        if (!config.has("pg-path", index)) {
            continue;
        }
        FoundServer server;
        server.index = index;
        const std::string& path = config.text("pg-path", index);
        try {
            server.session = connect_server(config, index);
            server.control = postgres::read_control_file(path).control;
        } catch (const Error& error) {
            if (!is_passed_over(error.code())) {
                throw;
            }
            log::warn(
                "unable to check pg{}: [{}] {}", index, error_name(error.code()), error.what());
            continue;
        }
        server.is_in_recovery = server.session->is_in_recovery();
        engine::check_server(*server.session, server.control, server_expectation(config, index));
        servers.push_back(std::move(server));
    }
    // The settings of a standby say nothing about what its primary does, and those of two primaries
    // nothing about which of them is the cluster.
    if (const FoundServer* const primary = find_primary(servers)) {
        engine::check_archive_settings(*primary->session,
                                       server_expectation(config, primary->index));
    }
    return servers;
}

} // namespace pgstrata::command
