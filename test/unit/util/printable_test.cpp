// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/printable.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using Text = std::string;

TEST_CASE("what a terminal could take for a command is shown as bytes", "[printable]")
{
    const auto [text, shown] = GENERATE(table<Text, Text>({
        {"", ""},
        {"plain, two\nlines and a\ttab", "plain, two\nlines and a\ttab"},
        {"gr\xc3\xbc\xc3\x9f, \xe2\x82\xac, \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f, \xe2\x82\xac, \xf0\x9f\x98\x80"},
        {"\xc2\xa0", "\xc2\xa0"},
        {"a\x1b[2Jb\rc\x7f"
         "d",
         "a\\x1B[2Jb\\x0Dc\\x7Fd"},
        {Text("\0", 1), "\\x00"},
        {"\x9b"
         "31m",
         "\\x9B31m"}, // a control in one byte
        {"\xc2\x9b"
         "31m",
         "\\xC2\\x9B31m"}, // the same in UTF-8
        {"\xff\xfe", "\\xFF\\xFE"},
        {"caf\xe9", "caf\\xE9"}, // cut off, or of another encoding
        {"\xe2\x82", "\\xE2\\x82"},
        {"\xc0\x9b", "\\xC0\\x9B"}, // longer than it must be
        {"\xe0\x80\x9b", "\\xE0\\x80\\x9B"},
        {"\xed\xa0\x80", "\\xED\\xA0\\x80"}, // half a pair
        {"\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"},
    }));
    CHECK(make_printable(text) == shown);
    CHECK(is_printable(text) == (text == shown));
}

TEST_CASE("what is to stay on its line has no ends of lines and tabs", "[printable]")
{
    CHECK(make_one_line("two\nlines,\ta tab, \x1b and gr\xc3\xbcn") ==
          "two\\x0Alines,\\x09a tab, \\x1B and gr\xc3\xbcn");
}
