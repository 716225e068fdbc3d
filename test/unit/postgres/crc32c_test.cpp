// SPDX-License-Identifier: PostgreSQL
#include "postgres/crc32c_table.hpp"

#include "pgstrata/postgres/crc32c.hpp"

#include <catch2/catch.hpp>

#include <numeric>
#include <vector>

using namespace pgstrata;
using postgres::crc32c;
using postgres::crc32c_by_table;

// The test vectors of RFC 3720, B.4.
TEST_CASE("CRC-32C gives the published values", "[postgres][crc32c]")
{
    std::vector<std::byte> rising(32);
    for (std::size_t i = 0; i < rising.size(); ++i) {
        rising[i] = static_cast<std::byte>(i);
    }

    CHECK(crc32c({}) == 0);
    CHECK(crc32c(as_bytes("123456789")) == 0xE3069283);
    CHECK(crc32c(std::vector<std::byte>(32, std::byte{0})) == 0x8A9136AA);
    CHECK(crc32c(std::vector<std::byte>(32, std::byte{0xFF})) == 0x62A8AB43);
    CHECK(crc32c(rising) == 0x46DD794E);
    CHECK(crc32c_by_table(as_bytes("123456789"), 0) == 0xE3069283);
    CHECK(crc32c_by_table(rising, 0) == 0x46DD794E);
}

TEST_CASE("the table and the instruction agree at every length and alignment", "[postgres][crc32c]")
{
    std::vector<std::byte> bytes(300);
    std::uint32_t state = 1;
    for (std::byte& byte : bytes) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<std::byte>(state >> 24U);
    }

    for (std::size_t start = 0; start < 9; ++start) {
        for (std::size_t size = 0; size + start <= bytes.size(); size += 7) {
            const ByteView part = ByteView(bytes).subspan(start, size);
            REQUIRE(crc32c(part, 42) == crc32c_by_table(part, 42));
        }
    }
}

TEST_CASE("a CRC can be continued piece by piece", "[postgres][crc32c]")
{
    const std::string_view text = "the quick brown fox jumps over the lazy dog";

    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const std::uint32_t first = crc32c(as_bytes(text.substr(0, cut)));
        REQUIRE(crc32c(as_bytes(text.substr(cut)), first) == crc32c(as_bytes(text)));
    }
}
