// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/lsn.hpp"

#include <catch2/catch.hpp>

using pgstrata::postgres::Lsn;
using pgstrata::postgres::parse_lsn;

TEST_CASE("an LSN is written as the server writes it and read back", "[postgres][lsn]")
{
    struct Case {
        std::uint64_t value;
        std::string text;
    };
    const auto& [value, text] = GENERATE(Case{0, "0/0"},
                                         Case{0x2000028, "0/2000028"},
                                         Case{0x1ABCDEF0123, "1AB/CDEF0123"},
                                         Case{0xFFFFFFFFFFFFFFFF, "FFFFFFFF/FFFFFFFF"});

    CHECK(to_string(Lsn{value}) == text);
    CHECK(parse_lsn(text) == Lsn{value});
}

TEST_CASE("zero padded and lower-case LSNs are read", "[postgres][lsn]")
{
    CHECK(parse_lsn("0/02000028") == Lsn{0x2000028});
    CHECK(parse_lsn("0000001a/00000000") == Lsn{0x1A00000000});
}

TEST_CASE("what is no LSN is refused", "[postgres][lsn][bug-54]")
{
    const auto* text = GENERATE("",
                                "/",
                                "1",
                                "1/",
                                "/1",
                                "1/2/3",
                                " 1/2",
                                "1/2 ",
                                "-1/2",
                                "+1/2",
                                "0x1/2",
                                "1/G",
                                "123456789/0",
                                "0/123456789");
    CAPTURE(text);

    CHECK_FALSE(parse_lsn(text).has_value());
}
