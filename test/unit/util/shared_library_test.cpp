// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/util/shared_library.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <optional>

using namespace pgstrata;
using pgstrata::test::HasCode;

TEST_CASE("functions of a library are found by name", "[util]")
{
    const SharedLibrary library("libc.so.6", ErrorCode::crypto, "install it");
    int (*absolute)(int) = nullptr;
    library.find("abs", absolute);
    CHECK(absolute(-3) == 3);
}

TEST_CASE("a library or a function that is missing is the error of its user", "[util]")
{
    const ErrorCode code = GENERATE(ErrorCode::crypto, ErrorCode::db_connect);
    CHECK_THROWS_MATCHES(
        SharedLibrary("libnowhere.so.4", code, "install it"), Error, HasCode(code));
    const SharedLibrary library("libc.so.6", code, "install it");
    int (*absolute)(int) = nullptr;
    CHECK_THROWS_MATCHES(library.find("no_such_function", absolute), Error, HasCode(code));
}

TEST_CASE("a library is not called missing where file descriptors are", "[util][bug-58]")
{
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    std::optional<Error> failure;

    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    try {
        const SharedLibrary library("libthread_db.so.1", ErrorCode::crypto, "install it");
    } catch (const Error& error) {
        failure = error;
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);

    REQUIRE(failure.has_value());
    CHECK(failure->code() == ErrorCode::kernel);
    CHECK_THAT(failure->hint(), Catch::Contains("ulimit -n"));
}
