// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/postgres/wal_record.hpp"

#include <random>

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::HasCode;
using pgstrata::test::WalBuilder;

namespace {

struct Seen {
    Lsn start;
    Lsn end;
    std::string main_data;
};

struct Reading {
    std::vector<Seen> records;
    bool is_open = true; // the end of WAL was not met
    Lsn end;
};

// Reads the builder's segments from number `first` on.
Reading read(const WalBuilder& builder, std::size_t first = 0, Timeline timeline = 1)
{
    WalReader reader(15, WalBuilder::kSegmentSize);
    Reading reading;
    for (std::size_t i = first; i < builder.segments(); ++i) {
        reading.is_open =
            reader.feed({timeline, WalBuilder::kFirstSegment + i},
                        builder.segment(i),
                        [&](const WalRecord& record) {
                            reading.records.push_back(
                                {record.start, record.end, std::string(as_text(record.main_data))});
                        });
    }
    reading.end = reader.end();
    return reading;
}

std::string text_of(std::size_t size)
{
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + i % 23);
    }
    return text;
}

} // namespace

TEST_CASE("records come in order with their places and data", "[postgres][wal_record]")
{
    WalBuilder builder;
    const Lsn first = builder.append_text("one");
    const Lsn second = builder.append_text("twenty-two");
    const Lsn third = builder.append(10, 0, {});

    const Reading reading = read(builder);

    REQUIRE(reading.records.size() == 3);
    CHECK(first == Lsn{3 * 0x100000 + 40});
    CHECK(reading.records[0].start == first);
    CHECK(reading.records[0].end == second);
    CHECK(reading.records[0].main_data == "one");
    CHECK(reading.records[1].start == second);
    CHECK(reading.records[1].main_data == "twenty-two");
    CHECK(reading.records[2].start == third);
    CHECK(reading.records[2].main_data.empty());
    CHECK(reading.end == builder.end());
    CHECK_FALSE(reading.is_open);
}

TEST_CASE("a record may cross pages at any of its bytes", "[postgres][wal_record][bug-23]")
{
    // The first record leaves this much of the first page to the second, whose header is 24 bytes.
    const std::size_t room = GENERATE(range(std::size_t{8}, std::size_t{88}, std::size_t{8}));
    CAPTURE(room);
    WalBuilder builder;
    const std::size_t filler = WalBuilder::kPageSize - 40 - 24 - 5 - room;
    builder.append_text(text_of(filler));
    const Lsn crossing = builder.append_text(text_of(50));
    builder.append_text("after");

    const Reading reading = read(builder);

    REQUIRE(reading.records.size() == 3);
    CHECK(crossing == Lsn{3 * 0x100000 + 8192 - room});
    CHECK(reading.records[1].main_data == text_of(50));
    CHECK(reading.records[2].main_data == "after");
}

TEST_CASE("a record that ends with its page is followed by the next page",
          "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    builder.append_text(text_of(WalBuilder::kPageSize - 40 - 24 - 5));
    const Lsn next = builder.append_text("next");

    const Reading reading = read(builder);

    REQUIRE(reading.records.size() == 2);
    CHECK(reading.records[0].end == Lsn{3 * 0x100000 + 8192});
    CHECK(reading.records[1].start == next);
    CHECK(next == Lsn{3 * 0x100000 + 8192 + 24});
}

TEST_CASE("a record may be longer than a segment", "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    builder.append_text("before");
    builder.append_text(text_of(5 * WalBuilder::kSegmentSize / 2));
    builder.append_text("after");

    const Reading reading = read(builder);

    REQUIRE(builder.segments() == 3);
    REQUIRE(reading.records.size() == 3);
    CHECK(reading.records[1].main_data == text_of(5 * WalBuilder::kSegmentSize / 2));
    CHECK(reading.records[2].main_data == "after");
}

TEST_CASE("reading from a later segment begins with its first whole record",
          "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    builder.append_text(text_of(WalBuilder::kSegmentSize - 20000));
    builder.append_text(text_of(60000));
    const Lsn whole = builder.append_text("whole");

    const Reading reading = read(builder, 1);

    REQUIRE(reading.records.size() == 1);
    CHECK(reading.records[0].start == whole);
    CHECK(reading.records[0].main_data == "whole");
}

TEST_CASE("a record without its rest waits for the next segment", "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    const Lsn last = builder.append_text(text_of(WalBuilder::kSegmentSize - 20000));
    const Lsn begun = builder.append_text(text_of(60000));
    WalReader reader(15, WalBuilder::kSegmentSize);
    std::vector<Lsn> starts;
    const auto visit = [&](const WalRecord& record) { starts.push_back(record.start); };

    CHECK(reader.feed({1, 3}, builder.segment(0), visit));
    CHECK(starts == std::vector<Lsn>{last});
    CHECK(reader.end() == begun);
    CHECK_FALSE(reader.feed({1, 4}, builder.segment(1), visit));
    CHECK(starts == std::vector<Lsn>{last, begun});
}

TEST_CASE("after a switch the next record is in the next segment", "[postgres][wal_record][bug-22]")
{
    WalBuilder builder;
    builder.append_text("one");
    builder.append_switch();
    const Lsn next = builder.append_text("two");

    const Reading reading = read(builder);

    REQUIRE(reading.records.size() == 3);
    CHECK(reading.records[1].main_data.empty());
    CHECK(reading.records[2].start == next);
    CHECK(next == Lsn{4 * 0x100000 + 40});
}

TEST_CASE("the WAL before a switch ends where its segment does", "[postgres][wal_record]")
{
    WalBuilder builder;
    builder.append_text("one");
    builder.append_switch();
    CHECK(read(builder).end == Lsn{4 * 0x100000});
}

TEST_CASE("a record given up after a crash is dropped", "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    builder.append_text("one");
    const std::size_t torn = GENERATE(std::size_t{9000}, std::size_t{20000});
    builder.append_torn(30000, torn);
    builder.begin_overwrite_page();
    builder.append_text("two");

    const Reading reading = read(builder);

    REQUIRE(reading.records.size() == 2);
    CHECK(reading.records[1].main_data == "two");
    CHECK(reading.end == builder.end());
}

TEST_CASE("pages copied from the old timeline may begin a new one",
          "[postgres][wal_record][bug-21]")
{
    WalBuilder builder(15, 9);
    builder.append_text(text_of(10000));
    builder.set_timeline(10);
    builder.append_text(text_of(10000));
    CHECK(read(builder, 0, 10).records.size() == 2);
    CHECK(read(builder, 0, 9).records.size() == 1);

    builder.set_timeline(9);
    builder.append_text(text_of(10000));
    CHECK(read(builder, 0, 10).records.size() == 2);
}

TEST_CASE("a damaged byte ends the reading at its record", "[postgres][wal_record][bug-23][bug-54]")
{
    WalBuilder builder;
    builder.append_text("first");
    const Lsn damaged = builder.append_text("second");
    builder.append_text("third");
    const std::size_t offset = damaged.value - WalBuilder::kFirstSegment * WalBuilder::kSegmentSize;

    for (std::size_t at = 0; at < 24 + 2 + 6; ++at) {
        builder.bytes()[offset + at] ^= std::byte{0x81};
        const Reading reading = read(builder);
        CAPTURE(at);
        REQUIRE(reading.records.size() == 1);
        REQUIRE(reading.end == damaged);
        builder.bytes()[offset + at] ^= std::byte{0x81};
    }
}

TEST_CASE("a record that links to another predecessor is the end", "[postgres][wal_record][bug-23]")
{
    WalBuilder builder;
    builder.append_text("first");
    builder.set_previous(Lsn{0x200});
    builder.append_text("left over from an earlier use of the file");

    CHECK(read(builder).records.size() == 1);
}

TEST_CASE("a page header that does not belong here is the end", "[postgres][wal_record][bug-54]")
{
    WalBuilder builder;
    builder.append_text(text_of(10000));
    builder.append_text("after");
    std::byte* const page = builder.bytes().data() + WalBuilder::kPageSize;
    SECTION("magic of another major")
    {
        store<std::uint16_t>(page, 0xD106);
    }
    SECTION("unknown flags")
    {
        store<std::uint16_t>(page + 2, 0x11);
    }
    SECTION("a long header in the middle")
    {
        store<std::uint16_t>(page + 2, 3);
    }
    SECTION("no continuation")
    {
        store<std::uint16_t>(page + 2, 0);
    }
    SECTION("a later timeline")
    {
        store<std::uint32_t>(page + 4, 2);
    }
    SECTION("the page of another place")
    {
        store<std::uint64_t>(page + 8, 0x102000);
    }
    SECTION("another length still to come")
    {
        store<std::uint32_t>(page + 16, 10);
    }

    CHECK(read(builder).records.empty());
}

TEST_CASE("a continuation nobody began is the end", "[postgres][wal_record][bug-54]")
{
    WalBuilder builder;
    builder.append_text(text_of(WalBuilder::kPageSize - 40 - 24 - 5));
    builder.append_text("next");
    store<std::uint16_t>(builder.bytes().data() + WalBuilder::kPageSize + 2, 1);
    store<std::uint32_t>(builder.bytes().data() + WalBuilder::kPageSize + 16, 8);

    CHECK(read(builder).records.size() == 1);
}

TEST_CASE("segments that are no continuation end the reading", "[postgres][wal_record][bug-22]")
{
    WalBuilder builder;
    builder.append_switch();
    builder.append_text("next");
    auto second = builder.segment(1);
    WalSegment segment{1, 4};
    SECTION("one left out")
    {
        segment.number = 5;
    }
    SECTION("an earlier timeline")
    {
        segment.timeline = 0;
    }
    SECTION("cut short")
    {
        second.resize(8192);
    }
    SECTION("none at all")
    {
        second.clear();
    }
    SECTION("of another cluster")
    {
        store<std::uint64_t>(second.data() + 24, 1);
    }
    SECTION("another segment size")
    {
        store<std::uint32_t>(second.data() + 32, 16U << 20U);
    }
    SECTION("another page size")
    {
        store<std::uint32_t>(second.data() + 36, 4096);
    }
    WalReader reader(15, WalBuilder::kSegmentSize);
    unsigned count = 0;
    const auto visit = [&](const WalRecord&) { ++count; };
    REQUIRE(reader.feed({1, 3}, builder.segment(0), visit));

    CHECK_FALSE(reader.feed(segment, second, visit));
    CHECK_FALSE(reader.feed({1, 4}, builder.segment(1), visit));
    CHECK(count == 1);
}

TEST_CASE("page sizes that cannot be end the reading", "[postgres][wal_record][bug-54]")
{
    WalBuilder builder;
    builder.append_text("x");
    const std::uint32_t size = GENERATE(0U, 1U, 512U, 8191U, 131072U, 0x80000000U);
    store(builder.bytes().data() + 36, size);

    const Reading reading = read(builder);

    CHECK(reading.records.empty());
    CHECK_FALSE(reading.is_open);
    CHECK(reading.end == Lsn{0});
}

TEST_CASE("a reader needs a known major and a possible size", "[postgres][wal_record]")
{
    CHECK_THROWS_MATCHES(
        WalReader(12, 16U << 20U), Error, HasCode(ErrorCode::version_not_supported));
    CHECK_THROWS_MATCHES(WalReader(15, 3U << 20U), Error, HasCode(ErrorCode::format));
}

TEST_CASE("random damage never breaks the reader", "[postgres][wal_record][bug-23][bug-54]")
{
    WalBuilder builder;
    for (std::size_t size = 0; builder.segments() < 2; size = (size * 7 + 13) % 3000) {
        builder.append_text(text_of(size));
    }
    const Reading whole = read(builder);
    std::mt19937 random(20261121);
    for (int round = 0; round < 60; ++round) {
        WalBuilder damaged = builder;
        const unsigned count = 1 + random() % 4;
        for (unsigned i = 0; i < count; ++i) {
            const std::size_t at = random() % damaged.bytes().size();
            damaged.bytes()[at] ^= static_cast<std::byte>(1 + random() % 255);
        }
        const Reading reading = read(damaged);
        REQUIRE(reading.records.size() <= whole.records.size());
        for (std::size_t i = 0; i < reading.records.size(); ++i) {
            REQUIRE(reading.records[i].main_data == whole.records[i].main_data);
        }
    }
}

TEST_CASE("random bytes behind valid page headers hold no records",
          "[postgres][wal_record][bug-23][bug-54]")
{
    std::mt19937 random(1121);
    for (int round = 0; round < 20; ++round) {
        WalBuilder builder;
        builder.append_text(text_of(100000));
        auto& bytes = builder.bytes();
        for (std::size_t at = 40; at < bytes.size(); ++at) {
            if (at % WalBuilder::kPageSize >= 24) {
                bytes[at] = static_cast<std::byte>(random());
            }
        }
        // A length the page headers agree with gets furthest.
        if (round % 2 == 0) {
            store<std::uint32_t>(bytes.data() + 40, 24 + 5 + 100000);
        }
        REQUIRE(read(builder).records.empty());
    }
}
