// SPDX-License-Identifier: PostgreSQL
#include "postgres/libpq.hpp"
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstdlib>

using namespace pgstrata;
using postgres::SessionOptions;
using test::HasCode;

namespace {

// A socket where a server would listen, and nobody who answers.
class SilentServer {
public:
    explicit SilentServer(const test::TemporaryDirectory& directory)
        : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = directory / ".s.PGSQL.5432";
        path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
        const auto* generic = reinterpret_cast<const sockaddr*>(&address);
        REQUIRE(::bind(socket_.get(), generic, sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 8) == 0);
    }

private:
    FileDescriptor socket_;
};

} // namespace

TEST_CASE("a missing client library is an error that says what to install", "[postgres]")
{
    try {
        postgres::load_libpq("libpq-of-nobody.so.5");
        FAIL("the library was found");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::db_connect);
        CHECK_THAT(error.hint(), Catch::Contains("libpq5"));
    }
}

TEST_CASE("a library that is not libpq is refused", "[postgres]")
{
    CHECK_THROWS_MATCHES(postgres::load_libpq("libc.so.6"), Error, HasCode(ErrorCode::db_connect));
}

TEST_CASE("no server is an error that names the socket and no password", "[postgres][bug-53]")
{
    const test::TemporaryDirectory directory;
    ::setenv("PGPASSWORD", "canary-4711", 1);
    try {
        postgres::connect({.socket_path = directory.path(), .port = 5433});
        FAIL("connected");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::db_connect);
        CHECK_THAT(error.what(), Catch::Contains(directory.path() + ":5433"));
        CHECK_THAT(error.what() + error.hint(), !Catch::Contains("canary-4711"));
    }
    ::unsetenv("PGPASSWORD");
}

TEST_CASE("a database name is not taken for a connection string", "[postgres][bug-53]")
{
    const test::TemporaryDirectory directory;
    const SilentServer server(directory);
    const test::TemporaryDirectory empty;

    CHECK_THROWS_WITH(postgres::connect({.socket_path = empty.path(),
                                         .database = "host=" + directory.path(),
                                         .timeout_milliseconds = 300}),
                      Catch::Contains(empty.path()) && !Catch::Contains("no answer"));
}

TEST_CASE("a server that does not answer is given up", "[postgres]")
{
    const test::TemporaryDirectory directory;
    const SilentServer server(directory);
    const auto start = monotonic_milliseconds();

    CHECK_THROWS_MATCHES(
        postgres::connect({.socket_path = directory.path(), .timeout_milliseconds = 300}),
        Error,
        HasCode(ErrorCode::db_connect));
    CHECK(monotonic_milliseconds() - start >= 300);
    CHECK(monotonic_milliseconds() - start < 10'000);
}

TEST_CASE("a signal ends the wait for a server", "[postgres][bug-57]")
{
    const test::TemporaryDirectory directory;
    const SilentServer server(directory);

    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(postgres::connect({.socket_path = directory.path()}),
                         Error,
                         HasCode(ErrorCode::terminated));
    set_pending_signal(0);
}
