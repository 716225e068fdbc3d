// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "postgres/libpq.hpp"

#include "pgstrata/postgres/session.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::postgres {

// One value of an answer, nullopt for NULL.
using Value = std::optional<std::string>;
using Row = std::vector<Value>;

// An open connection that runs one statement at a time. It waits in short steps, so that a signal
// ends the statement instead of being put off until the server answers.
class QueryRunner : NonCopyable {
public:
    // Connects; see SessionOptions for the time limits.
    explicit QueryRunner(const SessionOptions& options);

    int server_version() const;
    // Rows of `columns` text values each.
    std::vector<Row> rows(const char* statement,
                          std::size_t columns,
                          const std::vector<std::string>& parameters = {});
    // The only row of an answer.
    Row row(const char* statement,
            std::size_t columns,
            const std::vector<std::string>& parameters = {});
    // The only value of an answer, which must not be NULL.
    std::string value(const char* statement, const std::vector<std::string>& parameters = {});

    // Safe from any thread.
    void cancel() noexcept;

private:
    void connect(const SessionOptions& options);
    void wait_for_connection(const SessionOptions& options);
    void send(const char* statement, const std::vector<std::string>& parameters);
    Result receive(const char* statement);
    void wait_for_answer(const char* statement);
    void abandon();
    std::vector<Row> read(const PGresult* result, const char* statement, std::size_t columns) const;
    [[noreturn]] void fail(const PGresult* result, const char* statement) const;
    [[noreturn]] void fail_connection(const char* statement) const;

    const Libpq& pq_;
    std::uint64_t timeout_milliseconds_;
    Connection connection_;
    Cancel cancel_;
};

} // namespace pgstrata::postgres
