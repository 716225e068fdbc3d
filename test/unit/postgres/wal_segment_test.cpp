// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/postgres/wal_segment.hpp"

#include <vector>

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::HasCode;

namespace {

constexpr std::uint32_t kMebibyte = 1U << 20U;
constexpr std::uint32_t kDefaultSize = 16 * kMebibyte;

std::vector<std::byte> long_header(std::uint32_t segment_size)
{
    std::vector<std::byte> bytes(kWalHeaderSize);
    store<std::uint16_t>(bytes.data(), 0xD110);
    store<std::uint16_t>(bytes.data() + 2, 2);
    store<std::uint32_t>(bytes.data() + 4, 10);
    store<std::uint64_t>(bytes.data() + 8, std::uint64_t{3} * segment_size);
    store<std::uint64_t>(bytes.data() + 24, 7000000000000000001U);
    store<std::uint32_t>(bytes.data() + 32, segment_size);
    store<std::uint32_t>(bytes.data() + 36, 8192);
    return bytes;
}

} // namespace

TEST_CASE("a segment is named after its timeline and number", "[postgres][wal][bug-21][bug-22]")
{
    struct Case {
        std::uint32_t segment_size;
        WalSegment segment;
        std::string name;
    };
    const auto& [segment_size, segment, name] =
        GENERATE(Case{kDefaultSize, {1, 2}, "000000010000000000000002"},
                 Case{kDefaultSize, {0xA, 0xFF}, "0000000A00000000000000FF"},
                 Case{kDefaultSize, {0x10, 0x100}, "000000100000000100000000"},
                 Case{kMebibyte, {1, 0xFFF}, "000000010000000000000FFF"},
                 Case{kMebibyte, {1, 0x1000}, "000000010000000100000000"},
                 Case{1024 * kMebibyte, {1, 3}, "000000010000000000000003"},
                 Case{1024 * kMebibyte, {1, 4}, "000000010000000100000000"},
                 Case{64 * kMebibyte, {0xFFFFFFFF, 0x3FFFFFFFFF}, "FFFFFFFFFFFFFFFF0000003F"});

    CHECK(to_string(segment, segment_size) == name);
    CHECK(parse_wal_segment(name, segment_size) == segment);
}

TEST_CASE("a name whose low part the segment size forbids is no segment", "[postgres][wal][bug-22]")
{
    CHECK(parse_wal_segment("0000000100000000000000FF", kDefaultSize).has_value());
    CHECK_FALSE(parse_wal_segment("000000010000000000000100", kDefaultSize).has_value());
    CHECK(parse_wal_segment("000000010000000000000100", kMebibyte).has_value());
    CHECK_FALSE(parse_wal_segment("000000010000000000000001", 0).has_value());
    CHECK_FALSE(parse_wal_segment("000000010000000000000001", 3 * kMebibyte).has_value());
}

TEST_CASE("only 24 upper-case hex digits name a segment", "[postgres][wal][bug-54]")
{
    const auto* name = GENERATE("",
                                "00000001000000000000000",
                                "0000000100000000000000011",
                                "00000001000000000000000a",
                                "00000001000000000000000G",
                                "00000001 00000000000000A",
                                "000000010000000000000001.partial");
    CAPTURE(name);

    CHECK_FALSE(parse_wal_segment(name, kDefaultSize).has_value());
}

TEST_CASE("an LSN lies in the segment that starts at or before it", "[postgres][wal][bug-22]")
{
    CHECK(segment_of(3, Lsn{0x2000028}, kDefaultSize) == WalSegment{3, 2});
    CHECK(segment_of(3, Lsn{0x1000000}, kDefaultSize) == WalSegment{3, 1});
    CHECK(segment_of(3, Lsn{0xFFFFFF}, kDefaultSize) == WalSegment{3, 0});
    CHECK(start_of({3, 2}, kDefaultSize) == Lsn{0x2000000});
    CHECK(start_of({3, 0x100}, kDefaultSize) == Lsn{0x100000000});
}

TEST_CASE("a stop on a border needs only the segment before it", "[postgres][wal][bug-22]")
{
    CHECK(last_segment_before(1, Lsn{0x3000000}, kDefaultSize) == WalSegment{1, 2});
    CHECK(last_segment_before(1, Lsn{0x3000001}, kDefaultSize) == WalSegment{1, 3});
    CHECK(last_segment_before(1, Lsn{0x2FFFFFF}, kDefaultSize) == WalSegment{1, 2});
    CHECK(last_segment_before(1, Lsn{0}, kDefaultSize) == WalSegment{1, 0});
}

TEST_CASE("the names the server archives and asks for are told apart", "[postgres][wal]")
{
    struct Case {
        std::string name;
        WalFileKind kind;
        std::string segment;
        Timeline timeline;
    };
    const auto& [name, kind, segment, timeline] = GENERATE(
        Case{"0000000B0000000000000002", WalFileKind::segment, "0000000B0000000000000002", 11},
        Case{"000000010000000000000002.partial",
             WalFileKind::partial,
             "000000010000000000000002",
             1},
        Case{"00000010.history", WalFileKind::history, "", 16},
        Case{"000000010000000000000002.00000028.backup",
             WalFileKind::backup,
             "000000010000000000000002",
             1});

    const auto file = parse_wal_file_name(name);

    REQUIRE(file.has_value());
    CHECK(file->kind == kind);
    CHECK(file->name == name);
    CHECK(file->segment == segment);
    CHECK(file->timeline == timeline);
}

TEST_CASE("other names are no WAL files", "[postgres][wal][bug-54]")
{
    const auto* name = GENERATE("",
                                "history",
                                ".history",
                                "0000001.history",
                                "0000000a.history",
                                "00000002.history.gz",
                                "000000010000000000000002.",
                                "000000010000000000000002.PARTIAL",
                                "000000010000000000000002.partial2",
                                "000000010000000000000002.0000028.backup",
                                "000000010000000000000002.0000002g.backup",
                                "000000010000000000000002.00000028.backup.done",
                                "pg_wal/000000010000000000000002",
                                "../000000010000000000000002",
                                "00000001000000000000000b",
                                "RECOVERYXLOG");
    CAPTURE(name);

    CHECK_FALSE(parse_wal_file_name(name).has_value());
}

TEST_CASE("a segment's size is a power of two from 1 MiB to 1 GiB", "[postgres][wal][bug-22]")
{
    CHECK(is_wal_segment_size(kMebibyte));
    CHECK(is_wal_segment_size(kDefaultSize));
    CHECK(is_wal_segment_size(1024 * kMebibyte));
    const auto size = GENERATE(std::uint64_t{0},
                               std::uint64_t{kMebibyte / 2},
                               std::uint64_t{2048} * kMebibyte,
                               std::uint64_t{kDefaultSize + 1},
                               std::uint64_t{3 * kMebibyte},
                               std::uint64_t{1} << 52U);
    CHECK_FALSE(is_wal_segment_size(size));
}

TEST_CASE("a segment's first page tells the cluster and the sizes", "[postgres][wal][bug-19]")
{
    const WalHeader header = parse_wal_header(long_header(64 * kMebibyte));

    CHECK(header.major == 15);
    CHECK(header.magic == 0xD110);
    CHECK(header.timeline == 10);
    CHECK(header.page_address == Lsn{std::uint64_t{192} * kMebibyte});
    CHECK(header.system_identifier == 7000000000000000001U);
    CHECK(header.segment_size == 64 * kMebibyte);
    CHECK(header.page_size == 8192);
}

TEST_CASE("an unknown magic number is reported, not refused", "[postgres][wal]")
{
    auto bytes = long_header(kDefaultSize);
    store<std::uint16_t>(bytes.data(), 0xD1FF);

    const WalHeader header = parse_wal_header(bytes);

    CHECK(header.magic == 0xD1FF);
    CHECK(header.major == 0);
}

TEST_CASE("bytes that start no segment are a format error", "[postgres][wal][bug-54]")
{
    auto bytes = long_header(kDefaultSize);
    SECTION("too few")
    {
        bytes.pop_back();
    }
    SECTION("none")
    {
        bytes.clear();
    }
    SECTION("a short page header")
    {
        store<std::uint16_t>(bytes.data() + 2, 1);
    }
    SECTION("unknown flags")
    {
        store<std::uint16_t>(bytes.data() + 2, 0x12);
    }
    SECTION("a segment size of zero")
    {
        store<std::uint32_t>(bytes.data() + 32, 0);
    }
    SECTION("a page size of zero")
    {
        store<std::uint32_t>(bytes.data() + 36, 0);
    }
    SECTION("a page size that is too big")
    {
        store<std::uint32_t>(bytes.data() + 36, 1U << 17U);
    }
    SECTION("a page from the middle of a segment")
    {
        store<std::uint64_t>(bytes.data() + 8, 0x3002000);
    }

    CHECK_THROWS_MATCHES(parse_wal_header(bytes), Error, HasCode(ErrorCode::format));
}
