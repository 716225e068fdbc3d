// SPDX-License-Identifier: PostgreSQL
#include "command/server.hpp"

namespace pgstrata::command {

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

} // namespace pgstrata::command
