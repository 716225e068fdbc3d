// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/util/hex.hpp"
#include "pgstrata/util/serial.hpp"

#include <limits>
#include <vector>

using namespace pgstrata;
using pgstrata::test::HasCode;

namespace {

constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::vector<std::byte> bytes_of(std::string_view hex)
{
    std::vector<std::byte> bytes(hex.size() / 2);
    REQUIRE(from_hex(hex, bytes));
    return bytes;
}

void write_one_of_each(SerialWriter& out)
{
    out.u8(7);
    out.u32(0xDEADBEEF);
    out.u64(kMax64);
    out.varint(300);
    out.signed_varint(-3);
    out.text("text");
    out.raw(as_bytes("raw"));
}

void read_one_of_each(SerialReader& in)
{
    CHECK(in.u8() == 7);
    CHECK(in.u32() == 0xDEADBEEF);
    CHECK(in.u64() == kMax64);
    CHECK(in.varint() == 300);
    CHECK(in.signed_varint() == -3);
    CHECK(in.text() == "text");
    CHECK(as_text(in.raw(3)) == "raw");
}

} // namespace

TEST_CASE("what is written is read back, in the bytes the format says", "[util][serial]")
{
    Buffer bytes;
    SerialWriter out(bytes);
    write_one_of_each(out);
    CHECK(to_hex(bytes) == "07"
                           "efbeadde"
                           "ffffffffffffffff"
                           "ac02"
                           "05"
                           "0474657874"
                           "726177");

    SerialReader in(bytes, "a test");
    read_one_of_each(in);
    CHECK(in.at_end());
}

TEST_CASE("bytes cut short anywhere are refused", "[util][serial][bug-54]")
{
    Buffer bytes;
    SerialWriter out(bytes);
    write_one_of_each(out);

    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        SerialReader in(bytes.view().first(size), "a test");
        const auto read_all = [&] {
            in.u8();
            in.u32();
            in.u64();
            in.varint();
            in.signed_varint();
            in.text();
            in.raw(3);
        };
        CHECK_THROWS_MATCHES(read_all(), Error, HasCode(ErrorCode::format));
    }
}

TEST_CASE("numbers of any size have their shortest encoding", "[util][serial]")
{
    const auto [value, hex] = GENERATE(table<std::uint64_t, std::string>({
        {0, "00"},
        {1, "01"},
        {127, "7f"},
        {128, "8001"},
        {16383, "ff7f"},
        {16384, "808001"},
        {kMax64 >> 1U, "ffffffffffffffff7f"},
        {kMax64, "ffffffffffffffffff01"},
    }));
    Buffer bytes;
    SerialWriter(bytes).varint(value);
    CHECK(to_hex(bytes) == hex);
    CHECK(SerialReader(bytes, "a test").varint() == value);
}

TEST_CASE("a number that is not in its shortest form or too long is refused",
          "[util][serial][bug-54]")
{
    const std::string hex = GENERATE("8000",                   // 0 in two bytes
                                     "808000",                 // 0 in three
                                     "ff00",                   // 127 in two
                                     "ffffffffffffffffff02",   // bit 64
                                     "ffffffffffffffffff7f",   //
                                     "ffffffffffffffffffff01", // eleven bytes
                                     "80808080808080808080");
    const auto bytes = bytes_of(hex);
    CAPTURE(hex);
    CHECK_THROWS_MATCHES(SerialReader(bytes, "a test").varint(), Error, HasCode(ErrorCode::format));
}

TEST_CASE("signed numbers near zero are short and the extremes come back", "[util][serial]")
{
    const auto [value, hex] = GENERATE(table<std::int64_t, std::string>({
        {0, "00"},
        {-1, "01"},
        {1, "02"},
        {-64, "7f"},
        {64, "8001"},
        {kMax, "feffffffffffffffff01"},
        {kMin, "ffffffffffffffffff01"},
    }));
    Buffer bytes;
    SerialWriter(bytes).signed_varint(value);
    CHECK(to_hex(bytes) == hex);
    CHECK(SerialReader(bytes, "a test").signed_varint() == value);
}

TEST_CASE("limits of numbers and texts are kept", "[util][serial][bug-54]")
{
    Buffer bytes;
    SerialWriter out(bytes);
    SECTION("a number at its limit passes and one above does not")
    {
        out.varint(500);
        CHECK(SerialReader(bytes, "a test").varint(500) == 500);
        CHECK_THROWS_MATCHES(
            SerialReader(bytes, "a test").varint(499), Error, HasCode(ErrorCode::format));
    }
    SECTION("a number of 32 bits is no larger")
    {
        constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
        out.varint(kMax32);
        out.varint(kMax32 + 1);
        SerialReader in(bytes, "a test");
        CHECK(in.varint_u32() == kMax32);
        CHECK_THROWS_MATCHES(in.varint_u32(), Error, HasCode(ErrorCode::format));
    }
    SECTION("a text at its limit passes and one above does not")
    {
        out.text("12345");
        CHECK(SerialReader(bytes, "a test").text(5) == "12345");
        CHECK_THROWS_MATCHES(
            SerialReader(bytes, "a test").text(4), Error, HasCode(ErrorCode::format));
    }
    SECTION("a length beyond the bytes is no reason to read them")
    {
        out.varint(kMax64);
        CHECK_THROWS_MATCHES(
            SerialReader(bytes, "a test").text(kMax64), Error, HasCode(ErrorCode::format));
    }
}

TEST_CASE("a failure names what was read and where", "[util][serial]")
{
    SerialReader in(as_bytes("ab"), "the page map of 'base/1/2'");
    in.u8();
    CHECK_THROWS_WITH(in.u32(),
                      "the page map of 'base/1/2' is invalid: it ends too early at byte 1");
}
