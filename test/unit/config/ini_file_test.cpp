// SPDX-License-Identifier: PostgreSQL
#include "config/ini_file.hpp"
#include "support/matchers.hpp"

#include "pgstrata/util/error.hpp"

#include <catch2/catch.hpp>

namespace pgstrata::test {

using namespace std::string_literals;
using Catch::Contains;

namespace {

config::Ini parse(const std::string& text)
{
    config::Ini ini;
    config::append_ini(ini, "/x.conf", text);
    return ini;
}

} // namespace

TEST_CASE("lines and their parts are trimmed", "[config]")
{
    const config::Ini ini = parse("  [ global ]\r\n\t key =  a value  \r\n");

    REQUIRE(ini.entries.size() == 1);
    CHECK(ini.entries[0].section == "global");
    CHECK(ini.entries[0].key == "key");
    CHECK(ini.entries[0].value == "a value");
    CHECK(config::origin_of(ini, ini.entries[0]) == "/x.conf line 2");
}

TEST_CASE("a value holds everything behind the first equals sign", "[config]")
{
    const config::Ini ini = parse("[s]\nmap=k=v = w\nhash=a#b\nopen=[x]\n");

    REQUIRE(ini.entries.size() == 3);
    CHECK(ini.entries[0].value == "k=v = w");
    CHECK(ini.entries[1].value == "a#b");
    CHECK(ini.entries[2].value == "[x]");
}

TEST_CASE("comments take whole lines, empty lines count", "[config]")
{
    const config::Ini ini = parse("# one\n\n   # two\n[s]\na=1");

    REQUIRE(ini.entries.size() == 1);
    CHECK(ini.entries[0].line == 5);
}

TEST_CASE("several files are one", "[config]")
{
    config::Ini ini = parse("[s]\na=1\n[t]");
    config::append_ini(ini, "/y.conf", "[t]\nb=2\n");

    REQUIRE(ini.entries.size() == 2);
    CHECK(ini.entries[1].section == "t");
    CHECK(config::origin_of(ini, ini.entries[1]) == "/y.conf line 2");
}

TEST_CASE("a line that is nothing known is an error with file and line", "[config][bug-53]")
{
    const std::string line =
        GENERATE("secret"s, "[s"s, "s]"s, "=secret"s, "[]"s, "[ ]"s, "a=b\0c"s);

    try {
        parse("[s]\n" + line + "\n");
        FAIL("parsed");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::format);
        CHECK_THAT(error.what(), Contains("/x.conf line 2") && !Contains("secret"));
    }
}

TEST_CASE("an option before any section is an error", "[config]")
{
    CHECK_THROWS_MATCHES(parse("a=1\n"), Error, HasCode(ErrorCode::format));
}

TEST_CASE("the section that one file ends with is not that of the next file", "[config]")
{
    config::Ini ini;
    config::append_ini(ini, "/x.conf", "[s]\na=1\n");
    CHECK_THROWS_MATCHES(
        config::append_ini(ini, "/y.conf", "a=2\n"), Error, HasCode(ErrorCode::format));
}

} // namespace pgstrata::test
