// SPDX-License-Identifier: PostgreSQL
#include "postgres/query.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

namespace pgstrata::postgres {

namespace {

constexpr std::uint64_t kConnectMilliseconds = 60'000;
constexpr std::uint64_t kAbandonMilliseconds = 5'000;
constexpr std::uint64_t kStepMilliseconds = 100;

// From the first statement on: these win over settings of the role and of the database.
constexpr const char* kServerOptions = "-c search_path= -c statement_timeout=0 -c lock_timeout=0 "
                                       "-c idle_in_transaction_session_timeout=0";

std::string without_newline(std::string_view text)
{
    while (!text.empty() && text.back() == '\n') {
        text.remove_suffix(1);
    }
    return std::string(text);
}

void log_notice(void*, const char* text)
{
    log::detail("the server says: {}", without_newline(text));
}

// Waits a short while for the socket; a signal also ends it.
bool wait_for(int socket, short events, std::uint64_t deadline)
{
    const std::uint64_t now = monotonic_milliseconds();
    const std::uint64_t left = deadline > now ? deadline - now : 0;
    pollfd entry{socket, events, 0};
    return ::poll(&entry, 1, static_cast<int>(std::min(left, kStepMilliseconds))) > 0;
}

std::string server_name(const SessionOptions& options)
{
    return fmt::format(
        "{}:{}", options.socket_path.empty() ? "local server" : options.socket_path, options.port);
}

} // namespace

QueryRunner::QueryRunner(const SessionOptions& options)
    : pq_(libpq()), timeout_milliseconds_(options.timeout_milliseconds)
{
    connect(options);
    wait_for_connection(options);
    pq_.set_notice_processor(connection_.get(), log_notice, nullptr);
    cancel_.reset(pq_.get_cancel(connection_.get()));
    if (!cancel_ || pq_.set_nonblocking(connection_.get(), 1) != 0) {
        raise(ErrorCode::db_connect, "unable to set up the connection to {}", server_name(options));
    }
}

void QueryRunner::connect(const SessionOptions& options)
{
    const std::string port = std::to_string(options.port);
    std::vector<const char*> names;
    std::vector<const char*> values;
    const auto add = [&](const char* name, const char* value) {
        names.push_back(name);
        values.push_back(value);
    };
    // Empty values are libpq's defaults.
    add("host", options.socket_path.c_str());
    add("port", port.c_str());
    add("user", options.user.c_str());
    add("dbname", options.database.c_str());
    add("application_name", options.application_name.c_str());
    add("keepalives", "1");
    add("keepalives_idle", "60");
    add("keepalives_interval", "10");
    // No conversion in either direction: names are kept as the bytes they are.
    add("client_encoding", "SQL_ASCII");
    add("options", kServerOptions);
    add(nullptr, nullptr);
    connection_.reset(pq_.connect_start(names.data(), values.data(), 0));
    if (!connection_) {
        raise(ErrorCode::memory, "unable to make a connection to {}", server_name(options));
    }
}

void QueryRunner::wait_for_connection(const SessionOptions& options)
{
    const std::uint64_t limit = std::min(options.timeout_milliseconds, kConnectMilliseconds);
    const std::uint64_t deadline = monotonic_milliseconds() + limit;
    auto state = PGRES_POLLING_WRITING;
    while (pq_.status(connection_.get()) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
           state != PGRES_POLLING_FAILED) {
        check_cancelled();
        if (monotonic_milliseconds() >= deadline) {
            throw Error(ErrorCode::db_connect,
                        fmt::format("unable to connect to {}: no answer within {} ms",
                                    server_name(options),
                                    limit),
                        "is the server overloaded, starting or recovering?");
        }
        const short events = state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;
        if (wait_for(pq_.socket(connection_.get()), events, deadline)) {
            state = pq_.connect_poll(connection_.get());
        }
    }
    if (state != PGRES_POLLING_OK) {
        throw Error(ErrorCode::db_connect,
                    fmt::format("unable to connect to {}: {}",
                                server_name(options),
                                without_newline(pq_.error_message(connection_.get()))),
                    "is the server running, and are the socket path, port, user and database "
                    "right?");
    }
}

int QueryRunner::server_version() const
{
    return pq_.server_version(connection_.get());
}

std::vector<Row> QueryRunner::rows(const char* statement,
                                   std::size_t columns,
                                   const std::vector<std::string>& parameters)
{
    send(statement, parameters);
    const Result result = receive(statement);
    return read(result.get(), statement, columns);
}

Row QueryRunner::row(const char* statement,
                     std::size_t columns,
                     const std::vector<std::string>& parameters)
{
    auto all = rows(statement, columns, parameters);
    if (all.size() != 1) {
        raise(ErrorCode::db_query, "'{}' gave {} rows instead of one", statement, all.size());
    }
    return std::move(all.front());
}

std::string QueryRunner::value(const char* statement, const std::vector<std::string>& parameters)
{
    auto only = row(statement, 1, parameters);
    if (!only.front()) {
        raise(ErrorCode::db_query, "'{}' gave no value", statement);
    }
    return std::move(*only.front());
}

void QueryRunner::cancel() noexcept
{
    std::array<char, 256> message{};
    pq_.cancel(cancel_.get(), message.data(), static_cast<int>(message.size()));
}

void QueryRunner::send(const char* statement, const std::vector<std::string>& parameters)
{
    std::vector<const char*> values;
    values.reserve(parameters.size());
    for (const auto& parameter : parameters) {
        values.push_back(parameter.c_str());
    }
    if (pq_.send_query(connection_.get(),
                       statement,
                       static_cast<int>(values.size()),
                       nullptr,
                       values.data(),
                       nullptr,
                       nullptr,
                       0) != 1) {
        fail_connection(statement);
    }
}

Result QueryRunner::receive(const char* statement)
{
    Result first;
    for (;;) {
        wait_for_answer(statement);
        Result next(pq_.get_result(connection_.get()));
        if (!next) {
            break;
        }
        if (!first) {
            first = std::move(next);
        }
    }
    if (!first) {
        fail_connection(statement);
    }
    if (pq_.result_status(first.get()) != PGRES_TUPLES_OK &&
        pq_.result_status(first.get()) != PGRES_COMMAND_OK) {
        fail(first.get(), statement);
    }
    return first;
}

void QueryRunner::wait_for_answer(const char* statement)
{
    const std::uint64_t deadline = monotonic_milliseconds() + timeout_milliseconds_;
    for (;;) {
        const int unsent = pq_.flush(connection_.get());
        if (unsent == 0 && pq_.is_busy(connection_.get()) == 0) {
            return;
        }
        if (pending_signal() != 0) {
            abandon();
            check_cancelled();
        }
        if (monotonic_milliseconds() >= deadline) {
            abandon();
            throw Error(
                ErrorCode::db_query,
                fmt::format("'{}' did not end within {} ms", statement, timeout_milliseconds_),
                "raise db-timeout if the server needs longer than this.");
        }
        wait_for(pq_.socket(connection_.get()), unsent == 1 ? POLLIN | POLLOUT : POLLIN, deadline);
        if (unsent < 0 || pq_.consume_input(connection_.get()) == 0) {
            fail_connection(statement);
        }
    }
}

// Cancels the statement and clears the line, so that the next one can run, unless the server is
// gone.
void QueryRunner::abandon()
{
    cancel();
    const std::uint64_t deadline = monotonic_milliseconds() + kAbandonMilliseconds;
    while (monotonic_milliseconds() < deadline) {
        if (pq_.is_busy(connection_.get()) == 0) {
            const Result result(pq_.get_result(connection_.get()));
            if (!result) {
                return;
            }
            continue;
        }
        wait_for(pq_.socket(connection_.get()), POLLIN, deadline);
        if (pq_.consume_input(connection_.get()) == 0) {
            return;
        }
    }
}

std::vector<Row>
QueryRunner::read(const PGresult* result, const char* statement, std::size_t columns) const
{
    if (pq_.column_count(result) != static_cast<int>(columns)) {
        raise(ErrorCode::db_query, "'{}' gave unexpected columns", statement);
    }
    std::vector<Row> all(static_cast<std::size_t>(pq_.row_count(result)));
    for (std::size_t i = 0; i < all.size(); ++i) {
        const int row = static_cast<int>(i);
        for (int column = 0; column < static_cast<int>(columns); ++column) {
            if (pq_.is_null(result, row, column) != 0) {
                all[i].emplace_back();
            } else {
                all[i].emplace_back(std::in_place,
                                    pq_.value(result, row, column),
                                    static_cast<std::size_t>(pq_.length(result, row, column)));
            }
        }
    }
    return all;
}

void QueryRunner::fail(const PGresult* result, const char* statement) const
{
    const auto field = [&](int code) -> std::string {
        const char* text = pq_.result_error_field(result, code);
        return text == nullptr ? "" : text;
    };
    std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
    if (message.empty()) {
        fail_connection(statement);
    }
    if (const auto more = field(PG_DIAG_MESSAGE_DETAIL); !more.empty()) {
        message += fmt::format(" ({})", more);
    }
    std::string hint = field(PG_DIAG_MESSAGE_HINT);
    constexpr std::string_view kInsufficientPrivilege = "42501";
    if (hint.empty() && field(PG_DIAG_SQLSTATE) == kInsufficientPrivilege) {
        hint = "grant the role what this statement needs, or connect as a superuser.";
    }
    throw Error(
        ErrorCode::db_query, fmt::format("unable to execute '{}': {}", statement, message), hint);
}

void QueryRunner::fail_connection(const char* statement) const
{
    raise(ErrorCode::db_connect,
          "unable to execute '{}': {}",
          statement,
          without_newline(pq_.error_message(connection_.get())));
}

} // namespace pgstrata::postgres
