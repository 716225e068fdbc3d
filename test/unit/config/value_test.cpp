// SPDX-License-Identifier: PostgreSQL
#include "config/value.hpp"
#include "unit/config/fixture.hpp"

#include <limits>

namespace pgstrata::test {

using Catch::Contains;
using config::parse_integer;
using config::parse_size;
using config::parse_time;

TEST_CASE("sizes are whole numbers with binary units in any case", "[config]")
{
    struct Case {
        std::string text;
        std::int64_t bytes;
    };
    const auto& [text, bytes] = GENERATE(Case{"0", 0},
                                         Case{"7", 7},
                                         Case{"7b", 7},
                                         Case{"7B", 7},
                                         Case{"2k", 2048},
                                         Case{"2kb", 2048},
                                         Case{"2KiB", 2048},
                                         Case{"3m", 3145728},
                                         Case{"3MB", 3145728},
                                         Case{"1g", 1073741824},
                                         Case{"1GiB", 1073741824},
                                         Case{"1t", 1099511627776},
                                         Case{"1PiB", 1125899906842624},
                                         Case{"4pb", 4503599627370496});
    CHECK(parse_size(text) == bytes);
}

TEST_CASE("what is no size", "[config]")
{
    const std::string text = GENERATE("",
                                      "k",
                                      "1.5m",
                                      "-1",
                                      "+1",
                                      "1 k",
                                      " 1",
                                      "1x",
                                      "1bb",
                                      "1bib",
                                      "1kibi",
                                      "1ki",
                                      "1mm",
                                      "8192p",
                                      "9223372036854775808",
                                      "99999999999999999999",
                                      "1e");
    CHECK(parse_size(text) == std::nullopt);
}

TEST_CASE("times are whole numbers with a unit, seconds without one", "[config]")
{
    struct Case {
        std::string text;
        std::int64_t milliseconds;
    };
    const auto& [text, milliseconds] = GENERATE(Case{"0", 0},
                                                Case{"5", 5000},
                                                Case{"250ms", 250},
                                                Case{"5s", 5000},
                                                Case{"2m", 120000},
                                                Case{"1h", 3600000},
                                                Case{"1d", 86400000},
                                                Case{"1w", 604800000},
                                                Case{"1y", 31536000000});
    CHECK(parse_time(text) == milliseconds);
}

TEST_CASE("what is no time", "[config]")
{
    const std::string text = GENERATE(
        "", "s", "1.5", "-1", "1q", "1 s", "1sec", "9223372036854775807", "20000000000000w");
    CHECK(parse_time(text) == std::nullopt);
}

TEST_CASE("integers are decimal", "[config]")
{
    CHECK(parse_integer("-20") == -20);
    CHECK(parse_integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
    for (const char* text : {"", "-", "+1", "0x1", "1 ", " 1", "1.0", "9223372036854775808"}) {
        CHECK(parse_integer(text) == std::nullopt);
    }
}

TEST_CASE("values at the ends of their range are accepted, beyond they are not", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string name;
        Words good;
        Words bad;
    };
    const auto& [name, good, bad] =
        GENERATE(Case{"process-max", {"1", "999"}, {"0", "1000", "-1", "1k", "two"}},
                 Case{"archive-timeout",
                      {"100ms", "1d", "60"},
                      {"99ms",
                       "86401",
                       "2d",
                       "1"
                       "x"}},
                 Case{"repo1-pack-size", {"1MiB", "4GiB"}, {"1048575", "4097m", "1"}},
                 Case{"priority", {"-20", "19"}, {"-21", "20"}},
                 Case{"compress-level", {"-7", "22"}, {"-8", "23"}},
                 Case{"repo1-retention-diff", {"1", "9999999"}, {"0", "10000000"}},
                 Case{"buffer-size", {"16KiB", "16384", "1m"}, {"17KiB", "32MiB", "0"}},
                 Case{"log-level-file", {"off", "trace"}, {"OFF", "verbose", "inf"}},
                 Case{"type", {"full", "diff", "incr"}, {"default", "FULL"}},
                 Case{"log-path", {"/", "/a", "/a/"}, {"a", "//a", "/a//b", "/a//", "./a"}},
                 Case{"annotation", {"a=b", "a=", "a=b=c"}, {"=b"}});
    for (const std::string& value : good) {
        CHECK_NOTHROW(host.load(backup_with({"--" + name + "=" + value})));
    }
    for (const std::string& value : bad) {
        INFO(name << "=" << value);
        const Error error = host.fail(backup_with({"--" + name + "=" + value}));
        CHECK(error.code() == ErrorCode::option_invalid_value);
        CHECK_THAT(error.what(), Contains("'" + name + "'") && Contains("'" + value + "'"));
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE("the range of compress-level is that of compress-type", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string type;
        std::string low;
        std::string high;
    };
    const auto& [type, low, high] = GENERATE(Case{"bz2", "1", "9"},
                                             Case{"gz", "-1", "9"},
                                             Case{"lz4", "-5", "12"},
                                             Case{"zst", "-7", "22"});
    const std::string option = "--compress-level=";
    const std::string below = std::to_string(std::stoi(low) - 1);
    const std::string above = std::to_string(std::stoi(high) + 1);
    const std::string chosen = "--compress-type=" + type;

    CHECK_NOTHROW(host.load(backup_with({chosen, option + low})));
    CHECK_NOTHROW(host.load(backup_with({chosen, option + high})));
    CHECK(host.fail(backup_with({chosen, option + below})).code() ==
          ErrorCode::option_invalid_value);
    const Error error = host.fail(backup_with({chosen, option + above}));
    CHECK_THAT(error.hint(), Contains(low + " to " + high));
}

TEST_CASE("a trailing slash is dropped from a path, but not from the root", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"info", "--log-path=/a/b/"}).text("log-path") == "/a/b");
    CHECK(host.load({"info", "--log-path=/"}).text("log-path") == "/");
}

TEST_CASE("a hash with a key twice warns and keeps the last", "[config]")
{
    ConfigHost host;

    const config::Config config =
        host.load(backup_with({"--annotation=k=1", "--annotation=l=2", "--annotation=k=3"}));

    REQUIRE(config.pairs("annotation").size() == 2);
    CHECK(config.pairs("annotation")[0].second == "3");
    CHECK(any_contains(config.warnings(), "'annotation' has the key 'k' more than once"));
}

TEST_CASE("a key without a value is no option, wherever it is written", "[config]")
{
    ConfigHost host;

    const Error error = host.fail(backup_with({"--annotation=k"}));
    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("'k'") && Contains("'annotation'"));
    host.write_config("[global]\ntablespace-map=ts1\n");
    const Error in_file = host.fail({"restore", "--stanza=main", "--pg1-path=/x"});
    CHECK(in_file.code() == ErrorCode::option_invalid);
    CHECK_THAT(in_file.what(), Contains("line 2"));
    CHECK(host.fail(backup_with({"--annotation==v"})).code() == ErrorCode::option_invalid_value);
}

TEST_CASE("a wrong value from a file names file and line, allowed values and the nearest one",
          "[config]")
{
    ConfigHost host;
    host.write_config("# comment\n[global]\nlog-level-file=detial\n");

    const Error error = host.fail({"info"});

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("'detial'") && Contains("'log-level-file'"));
    CHECK_THAT(error.what(), Contains("/etc/pgstrata/pgstrata.conf line 3"));
    CHECK_THAT(error.hint(), Contains("off, error, warn") && Contains("did you mean 'detail'"));
}

TEST_CASE("a wrong value is quoted without control characters and at bounded length", "[config]")
{
    ConfigHost host;

    CHECK_THAT(host.fail({"info", "--output=a\nb"}).what(), Contains("'a?b'"));
    CHECK(std::string(host.fail({"info", "--output=" + std::string(100000, 'x')}).what()).size() <
          400);
}

} // namespace pgstrata::test
