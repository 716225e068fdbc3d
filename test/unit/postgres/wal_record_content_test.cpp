// SPDX-License-Identifier: PostgreSQL
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/postgres/wal_record.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::WalBuilder;

namespace {

// The bytes of a record's body, put together item by item.
class Body {
public:
    template <typename T>
    Body& add(T value)
    {
        bytes.resize(bytes.size() + sizeof value);
        store(bytes.data() + bytes.size() - sizeof value, value);
        return *this;
    }
    Body& text(std::string_view value)
    {
        const ByteView view = as_bytes(value);
        bytes.insert(bytes.end(), view.begin(), view.end());
        return *this;
    }
    Body& u8(unsigned value) { return add(static_cast<std::uint8_t>(value)); }
    Body& u16(unsigned value) { return add(static_cast<std::uint16_t>(value)); }
    Body& u32(unsigned value) { return add(static_cast<std::uint32_t>(value)); }
    Body& relation() { return u32(1663).u32(5).u32(16384); }

    std::vector<std::byte> bytes;
};

// The main data the reader finds in a record with this body; nullopt when it takes it for no
// record.
std::optional<std::string> main_data_of(const Body& body, unsigned major = 15)
{
    WalBuilder builder(major);
    builder.append_body(10, 0, body.bytes);
    WalReader reader(major, WalBuilder::kSegmentSize);
    std::optional<std::string> found;
    reader.feed({1, WalBuilder::kFirstSegment}, builder.segment(0), [&](const WalRecord& record) {
        found = std::string(as_text(record.main_data));
    });
    return found;
}

WalRecord make_record(std::uint8_t manager, std::uint8_t info, ByteView main_data)
{
    WalRecord record;
    record.resource_manager = manager;
    record.info = info;
    record.main_data = main_data;
    return record;
}

} // namespace

TEST_CASE("main data is found behind blocks, images and other items", "[postgres][wal_record]")
{
    Body body;
    SECTION("a block with data")
    {
        body.u8(0).u8(0x20).u16(3).relation().u32(7).u8(255).u8(4).text("xyz").text("main");
    }
    SECTION("two blocks of one relation")
    {
        body.u8(0).u8(0x20).u16(1).relation().u32(7);
        body.u8(1).u8(0xA0).u16(2).u32(8).u8(255).u8(4).text("abb").text("main");
    }
    SECTION("an image without compression, its hole left out")
    {
        body.u8(0).u8(0x10).u16(0).u16(5).u16(100).u8(1).relation().u32(7);
        body.u8(255).u8(4).text("image").text("main");
    }
    SECTION("a compressed image with a hole")
    {
        body.u8(0).u8(0x10).u16(0).u16(5).u16(100).u8(1 | 16).u16(900).relation().u32(7);
        body.u8(255).u8(4).text("image").text("main");
    }
    SECTION("a compressed image without a hole")
    {
        body.u8(0).u8(0x10).u16(0).u16(5).u16(0).u8(8).relation().u32(7);
        body.u8(255).u8(4).text("image").text("main");
    }
    SECTION("an origin and a top transaction")
    {
        body.u8(253).u16(1).u8(252).u32(771).u8(255).u8(4).text("main");
    }
    SECTION("a long length")
    {
        body.u8(254).u32(4).text("main");
    }

    CHECK(main_data_of(body) == "main");
}

TEST_CASE("before 15 another bit says that an image is compressed", "[postgres][wal_record]")
{
    Body body;
    body.u8(0).u8(0x10).u16(0).u16(5).u16(100).u8(1 | 2).u16(900).relation().u32(7);
    body.u8(255).u8(4).text("image").text("main");

    CHECK(main_data_of(body, 13) == "main");
    CHECK(main_data_of(body, 14) == "main");
    CHECK_FALSE(main_data_of(body, 15).has_value());
}

TEST_CASE("a record may have blocks and no main data", "[postgres][wal_record]")
{
    Body body;
    body.u8(0).u8(0x20).u16(3).relation().u32(7).text("xyz");

    CHECK(main_data_of(body) == "");
}

TEST_CASE("a record whose lengths do not add up is no record", "[postgres][wal_record][bug-54]")
{
    Body body;
    SECTION("main data shorter than announced")
    {
        body.u8(255).u8(5).text("main");
    }
    SECTION("main data longer than announced")
    {
        body.u8(255).u8(3).text("main");
    }
    SECTION("a length beyond all bytes")
    {
        body.u8(254).u32(0xFFFFFFFF).text("main");
    }
    SECTION("an unknown item")
    {
        body.u8(200).u8(255).u8(4).text("main");
    }
    SECTION("cut inside an item")
    {
        body.u8(254).u16(4);
    }
    SECTION("cut inside a block")
    {
        body.u8(0).u8(0x10).u16(0).u16(5);
    }
    SECTION("blocks that announce more than there is")
    {
        for (unsigned block = 0; block < 33; ++block) {
            body.u8(block).u8(0xA0).u16(65535).u32(block);
        }
    }

    CHECK_FALSE(main_data_of(body).has_value());
}

TEST_CASE("13 knows no item for the top transaction", "[postgres][wal_record]")
{
    Body body;
    body.u8(252).u32(771).u8(255).u8(4).text("main");

    CHECK(main_data_of(body, 14) == "main");
    CHECK_FALSE(main_data_of(body, 13).has_value());
}

TEST_CASE("commits and aborts, prepared ones too, carry their time", "[postgres][wal_record]")
{
    // One microsecond after 2000-01-01 UTC.
    const Body body = Body().add(std::int64_t{1}).u32(0);
    const auto info = GENERATE(0x00, 0x80, 0x20, 0xA0, 0x30, 0x40, 0x81);

    CHECK(transaction_end_time(make_record(1, static_cast<std::uint8_t>(info), body.bytes)) ==
          946684800000001);
}

TEST_CASE("other records have no end time", "[postgres][wal_record]")
{
    const Body body = Body().add(std::int64_t{1});
    const auto info = GENERATE(0x10, 0x50, 0x60, 0x90);

    CHECK_FALSE(transaction_end_time(make_record(1, static_cast<std::uint8_t>(info), body.bytes))
                    .has_value());
    CHECK_FALSE(transaction_end_time(make_record(0, 0, body.bytes)).has_value());
}

TEST_CASE("a time that is cut short or out of range is none", "[postgres][wal_record][bug-54]")
{
    const Body short_body = Body().u32(1).u16(1);
    const Body huge = Body().add(std::numeric_limits<std::int64_t>::max());

    CHECK_FALSE(transaction_end_time(make_record(1, 0, short_body.bytes)).has_value());
    CHECK_FALSE(transaction_end_time(make_record(1, 0, {})).has_value());
    CHECK_FALSE(transaction_end_time(make_record(1, 0, huge.bytes)).has_value());
}

TEST_CASE("a restore point has a name of at most 64 bytes", "[postgres][wal_record][bug-54]")
{
    Body body = Body().add(std::int64_t{1}).text("before the upgrade");
    body.bytes.resize(72);
    CHECK(restore_point_name(make_record(0, 0x70, body.bytes)) == "before the upgrade");

    const Body full = Body().add(std::int64_t{1}).text(std::string(64, 'n')).text("beyond");
    CHECK(restore_point_name(make_record(0, 0x70, full.bytes)) == std::string(64, 'n'));

    body.bytes.resize(71);
    CHECK(restore_point_name(make_record(0, 0x70, body.bytes)).empty());
    body.bytes.resize(72);
    CHECK(restore_point_name(make_record(0, 0x60, body.bytes)).empty());
    CHECK(restore_point_name(make_record(1, 0x70, body.bytes)).empty());
}
