// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/page_map.hpp"
#include "pgstrata/util/serial.hpp"

#include <random>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

PageMap dense_map(std::uint32_t pages)
{
    PageMap map;
    map.file_pages = pages;
    for (std::uint32_t i = 0; i < pages; ++i) {
        map.hashes.push_back(0x0102030405060708U * (i + 1));
    }
    for (std::uint32_t done = 0; done < pages; done += 128) {
        const std::uint32_t count = std::min(128U, pages - done);
        map.extents.push_back({done / 128 % 3, 64 + done * 100ULL, 5000, 0, count * 8192});
    }
    return map;
}

PageMap delta_map()
{
    PageMap map;
    map.file_pages = 1000;
    map.is_dense = false;
    map.numbers = {0, 1, 5, 500, 999};
    map.hashes = {1, 2, 3, 4, ~std::uint64_t{0}};
    map.extents = {{2, 1U << 20U, 9000, 8192, 3 * 8192}, {0, 64, 900, 0, 2 * 8192}};
    return map;
}

void check_equal(const PageMap& left, const PageMap& right)
{
    CHECK(left.page_size == right.page_size);
    CHECK(left.file_pages == right.file_pages);
    CHECK(left.is_dense == right.is_dense);
    CHECK(left.numbers == right.numbers);
    CHECK(left.extents == right.extents);
    CHECK(left.hashes == right.hashes);
}

Buffer encoded(const PageMap& map)
{
    Buffer bytes;
    encode_page_map(map, bytes);
    return bytes;
}

// Decodes bytes of no good will: any outcome but a map or Error(format) fails the test.
bool decodes(ByteView bytes)
{
    try {
        const PageMap map = decode_page_map(bytes, "a map");
        std::uint64_t held = 0;
        for (const Extent& extent : map.extents) {
            CHECK(extent.size % map.page_size == 0);
            CHECK(std::uint64_t{extent.position} + extent.size <= codec::kFrameRawLimit);
            held += extent.size;
        }
        CHECK(held == map.stored_pages() * std::uint64_t{map.page_size});
        for (std::size_t i = 0; i < map.stored_pages(); ++i) {
            CHECK(map.page_number(i) < map.file_pages);
        }
        return true;
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::format);
        return false;
    }
}

} // namespace

TEST_CASE("a page map comes back as it was", "[repository][page_map][bug-10]")
{
    const PageMap map =
        GENERATE(dense_map(1), dense_map(128), dense_map(129), dense_map(131072), delta_map());
    const Buffer bytes = encoded(map);
    check_equal(decode_page_map(bytes, "a map"), map);
    CHECK(as_text(encoded(map)) == as_text(bytes));
}

TEST_CASE("an empty file and a delta without pages have maps too", "[repository][page_map][bug-10]")
{
    PageMap map;
    map.is_dense = GENERATE(false, true);
    map.file_pages = map.is_dense ? 0 : 77;
    check_equal(decode_page_map(encoded(map), "a map"), map);
}

TEST_CASE("a page map has the bytes the format says", "[repository][page_map]")
{
    PageMap map;
    map.file_pages = 300;
    map.is_dense = false;
    map.numbers = {2, 200};
    map.hashes = {0x1122334455667788, 0};
    map.extents = {{1, 64, 70, 0, 16384}};
    const unsigned char expected[] = {
        1, 0,    0x80, 0x40, 0xAC, 2,    2,    1,    1,    64, 70, 0, 0x80, 0x80, 1, 2, 0xC6,
        1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0,  0,  0, 0,    0,    0, 0, 0};
    const Buffer bytes = encoded(map);
    CHECK(std::ranges::equal(bytes.view(), std::as_bytes(std::span(expected))));
}

TEST_CASE("a page map cut short anywhere or with more behind it is refused",
          "[repository][page_map][bug-10][bug-54]")
{
    const PageMap map = GENERATE(dense_map(3), delta_map());
    Buffer bytes = encoded(map);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        CHECK_THROWS_MATCHES(
            decode_page_map(bytes.view().first(size), "a map"), Error, HasCode(ErrorCode::format));
    }
    bytes.append(as_bytes("x"));
    CHECK_THROWS_MATCHES(decode_page_map(bytes, "a map"), Error, HasCode(ErrorCode::format));
}

TEST_CASE("page maps that cannot be are refused", "[repository][page_map][bug-54]")
{
    PageMap map = delta_map();
    SECTION("page sizes")
    {
        map.page_size = GENERATE(0U, 512U, 1000U, 12288U, 65536U);
    }
    SECTION("a page number twice")
    {
        map.numbers = {0, 1, 5, 5, 999};
    }
    SECTION("a page behind the end")
    {
        map.file_pages = 999;
    }
    SECTION("more pages than the file has")
    {
        map.file_pages = 4;
    }
    SECTION("a dense map with holes")
    {
        map.is_dense = true;
        map.numbers.clear();
    }
    SECTION("an extent of half a page")
    {
        map.extents[0].size += 4096;
    }
    SECTION("an extent larger than a frame")
    {
        map.extents[0].size = 2U << 20U;
    }
    SECTION("an extent that begins behind its frame")
    {
        map.extents[0].position = 2U << 20U;
    }
    SECTION("an extent that ends behind its frame")
    {
        map.extents[0].position = codec::kFrameRawLimit - 8192;
    }
    SECTION("an extent of nothing")
    {
        map.extents.push_back({0, 64, 100, 0, 0});
    }
    SECTION("a page without a place")
    {
        map.extents.pop_back();
    }
    SECTION("a place without a page")
    {
        map.extents.push_back(map.extents.back());
    }
    CHECK_THROWS_MATCHES(decode_page_map(encoded(map), "a map"), Error, HasCode(ErrorCode::format));
}

TEST_CASE("counts beyond all bounds take no memory", "[repository][page_map][bug-54]")
{
    Buffer bytes;
    SerialWriter out(bytes);
    out.u8(1);
    out.u8(0);
    out.varint(8192);
    out.varint(0xFFFFFFFF);
    SECTION("pages")
    {
        out.varint(0xFFFFFFFF);
    }
    SECTION("extents")
    {
        out.varint(0);
        out.varint(~std::uint64_t{0});
    }
    CHECK_THROWS_MATCHES(decode_page_map(bytes, "a map"), Error, HasCode(ErrorCode::format));
}

TEST_CASE("damage in a page map is refused or gives a map within its bounds",
          "[repository][page_map][bug-54]")
{
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same bytes in every run
    const Buffer good = encoded(GENERATE(dense_map(3), delta_map()));
    std::size_t refused = 0;
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Buffer bytes;
            bytes.append(good);
            bytes.span()[at] ^= static_cast<std::byte>(1U << bit);
            refused += decodes(bytes) ? 0U : 1U;
        }
    }
    CHECK(refused > 0);
    for (int i = 0; i < 20000; ++i) {
        Buffer bytes(random() % 80);
        for (std::byte& byte : bytes.span()) {
            byte = static_cast<std::byte>(random());
        }
        if (bytes.size() > 1) {
            bytes.span()[0] = std::byte{1};
            bytes.span()[1] &= std::byte{1};
        }
        decodes(bytes);
    }
}
