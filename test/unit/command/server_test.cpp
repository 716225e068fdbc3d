// SPDX-License-Identifier: PostgreSQL
#include "command/server.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgstrata::command;

TEST_CASE("a setting of the server that counts seconds is read with its unit", "[command]")
{
    using Seconds = std::optional<std::uint64_t>;
    const auto [text, seconds] = GENERATE(table<std::string, Seconds>({
        {"30s", 30},
        {"5min", 300},
        {"2h", 7200},
        {"1d", 86400},
        {"0s", 0},
        {"", {}},
        {"5", {}},
        {"min", {}},
        {"5 min", {}},
        {"-5min", {}},
        {"100ms", {}},
        {"99999999999999999999s", {}},
        {"18446744073709551615d", {}},
    }));
    CAPTURE(text);
    CHECK(setting_seconds(text) == seconds);
}
