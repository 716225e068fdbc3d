// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/bytes.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace pgstrata;

TEST_CASE("bytes are zero only when all of them are", "[util][bytes]")
{
    for (std::size_t size = 0; size <= 70; ++size) {
        std::vector<std::byte> bytes(size);
        CAPTURE(size);
        CHECK(is_zero(bytes));
        for (std::size_t at = 0; at < size; ++at) {
            bytes[at] = std::byte{1};
            CAPTURE(at);
            CHECK_FALSE(is_zero(bytes));
            bytes[at] = std::byte{0};
        }
    }
}

TEST_CASE("a buffer keeps its contents when it grows and when it shrinks", "[util][bytes]")
{
    Buffer buffer;
    CHECK(buffer.empty());
    buffer.append(as_bytes("abc"));
    buffer.resize(100000);
    CHECK(as_text(buffer.view().first(3)) == "abc");
    CHECK(buffer.size() == 100000);
    buffer.resize(2);
    CHECK(as_text(buffer) == "ab");
    buffer.append(as_bytes("XY"));
    CHECK(as_text(buffer) == "abXY");
}

TEST_CASE("a buffer that was cleared is empty and usable", "[util][bytes]")
{
    Buffer buffer(10);
    const std::byte* memory = buffer.data();
    buffer.clear();
    CHECK(buffer.empty());
    buffer.append({});
    CHECK(buffer.view().empty());
    buffer.append(as_bytes("0123456789"));
    CHECK(buffer.data() == memory);
    CHECK(as_text(buffer) == "0123456789");
}

TEST_CASE("numbers are loaded and stored at odd addresses", "[util][bytes]")
{
    std::array<std::byte, 16> bytes{};
    store(bytes.data() + 3, std::uint64_t{0x0102030405060708});
    CHECK(load<std::uint64_t>(bytes.data() + 3) == 0x0102030405060708);
    CHECK(bytes[3] == std::byte{8});
    CHECK(load<std::uint16_t>(bytes.data() + 3) == 0x0708);
    CHECK(bytes[11] == std::byte{0});
}

TEST_CASE("a buffer that was moved from is empty and can be used again", "[util][bytes]")
{
    Buffer first(100);
    const Buffer second = std::move(first);
    CHECK(second.size() == 100);
    CHECK(first.empty()); // NOLINT(bugprone-use-after-move)
    first.append(as_bytes("again"));
    CHECK(as_text(first) == "again");
}

TEST_CASE("what is dropped from the front of a buffer makes way for the rest", "[util][bytes]")
{
    Buffer buffer;
    buffer.drop_front(0);
    buffer.append(as_bytes("front and rest"));
    buffer.drop_front(10);
    CHECK(as_text(buffer) == "rest");
    buffer.drop_front(4);
    CHECK(buffer.empty());
}
