// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/postgres/timeline_history.hpp"

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::HasCode;

TEST_CASE("a history file lists all ancestors, oldest first", "[postgres][timeline]")
{
    const auto history = parse_timeline_history("1\t0/2B0000F8\tno recovery target specified\n"
                                                "\n"
                                                "3\t0/50000000\tbefore transaction 771\n",
                                                4);

    REQUIRE(history.size() == 2);
    CHECK(history[0].timeline == 1);
    CHECK(history[0].switch_point == Lsn{0x2B0000F8});
    CHECK(history[1].timeline == 3);
    CHECK(history[1].switch_point == Lsn{0x50000000});
}

TEST_CASE("timelines inside a history file are decimal", "[postgres][timeline][bug-21]")
{
    const auto history = parse_timeline_history("9\t0/1000000\tx\n10\t0/02000000\ty\n", 11);

    REQUIRE(history.size() == 2);
    CHECK(history[1].timeline == 10);
    CHECK_THROWS_MATCHES(
        parse_timeline_history("A\t0/1000000\tx\n", 11), Error, HasCode(ErrorCode::format));
}

TEST_CASE("comments, blank lines, carriage returns and a missing last newline are fine",
          "[postgres][timeline]")
{
    const auto history =
        parse_timeline_history("# made by hand\r\n \t \r\n  1 \t 0/10\r\n2\t0/20", 3);

    REQUIRE(history.size() == 2);
    CHECK(history[0].switch_point == Lsn{0x10});
    CHECK(history[1].switch_point == Lsn{0x20});
    CHECK(parse_timeline_history("", 1).empty());
    CHECK(parse_timeline_history("\n\n", 2).empty());
}

TEST_CASE("a damaged history file is a format error", "[postgres][timeline][bug-21][bug-54]")
{
    const std::string text = GENERATE(as<std::string>{},
                                      "x\n",
                                      "1\n",
                                      "1\t\n",
                                      "1\t0\n",
                                      "1\t0/\n",
                                      "1\t0/123456789\n",
                                      "0\t0/1\tx\n",
                                      "-1\t0/1\tx\n",
                                      "4294967297\t0/1\tx\n",
                                      "1 0/1\n1 0/2\n",
                                      "2 0/1\n1 0/2\n",
                                      "5 0/1\n",
                                      "6 0/1\n");
    CAPTURE(text);

    CHECK_THROWS_MATCHES(parse_timeline_history(text, 5), Error, HasCode(ErrorCode::format));
}

TEST_CASE("a NUL in a history file is a format error", "[postgres][timeline][bug-54]")
{
    CHECK_THROWS_MATCHES(parse_timeline_history(std::string_view("\0\0\0\0", 4), 5),
                         Error,
                         HasCode(ErrorCode::format));
}

TEST_CASE("a backup is reachable up to the point where the line leaves its timeline",
          "[postgres][timeline][bug-21]")
{
    const TimelineHistory history{{1, Lsn{100}}, {3, Lsn{200}}};

    CHECK(is_reachable(history, 4, 1, Lsn{100}));
    CHECK_FALSE(is_reachable(history, 4, 1, Lsn{101}));
    CHECK(is_reachable(history, 4, 3, Lsn{200}));
    CHECK_FALSE(is_reachable(history, 4, 3, Lsn{201}));
    CHECK(is_reachable(history, 4, 4, Lsn{5000}));
    CHECK_FALSE(is_reachable(history, 4, 2, Lsn{1}));
    CHECK_FALSE(is_reachable(history, 4, 5, Lsn{1}));
    CHECK(is_reachable({}, 1, 1, Lsn{1}));
    CHECK_FALSE(is_reachable({}, 2, 1, Lsn{1}));
}
