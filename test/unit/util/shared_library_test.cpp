// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/no_descriptors.hpp"

#include "pgstrata/util/shared_library.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using pgstrata::test::HasCode;
using pgstrata::test::NoDescriptors;

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
    const NoDescriptors none;
    const auto load = [] {
        const SharedLibrary library("libthread_db.so.1", ErrorCode::crypto, "install it");
    };
    CHECK_THROWS_MATCHES(load(), Error, HasCode(ErrorCode::kernel));
}
