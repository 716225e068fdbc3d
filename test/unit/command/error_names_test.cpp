// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/command/error_names.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace pgstrata;

TEST_CASE("error codes have the names that users know", "[errors]")
{
    CHECK(command::error_name(ErrorCode::file_missing) == "FileMissingError");
    CHECK(command::error_name(ErrorCode::crypto) == "CryptoError");
    CHECK(command::error_name(ErrorCode::terminated) == "TermError");
    CHECK(command::error_name(static_cast<ErrorCode>(1)) == "UnknownError");
}

TEST_CASE("no two error codes have the same name", "[errors]")
{
    std::set<std::string_view> names;
    unsigned known = 0;
    for (unsigned code = 0; code < 256; ++code) {
        const auto name = command::error_name(static_cast<ErrorCode>(code));
        if (name != "UnknownError") {
            names.insert(name);
            ++known;
        }
    }
    CHECK(known == 69);
    CHECK(names.size() == known);
}
