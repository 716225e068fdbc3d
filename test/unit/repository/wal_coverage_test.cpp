// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/wal_segments.hpp"

#include "pgstrata/repository/wal_coverage.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using pgstrata::postgres::Lsn;
using pgstrata::postgres::Timeline;
using pgstrata::postgres::WalSegment;

namespace {

constexpr std::uint32_t kMegabyte = 1U << 20U;

// Numbers of one timeline, from `first` to `last`.
struct Numbers {
    Timeline timeline = 1;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

using Runs = std::vector<Numbers>;

std::vector<std::string> names(const Runs& runs, std::uint32_t size = kSegmentSize)
{
    std::vector<std::string> all;
    for (const Numbers& run : runs) {
        for (std::uint64_t number = run.first; number <= run.last; ++number) {
            all.push_back(to_string(WalSegment{run.timeline, number}, size));
        }
    }
    std::ranges::sort(all);
    return all;
}

// From segment `start` to segment `stop`.
BackupSummary backup(Timeline timeline,
                     std::uint64_t start,
                     std::uint64_t stop,
                     std::uint32_t size = kSegmentSize)
{
    BackupSummary summary;
    summary.label = "backup";
    summary.timeline = timeline;
    summary.start_lsn = inside(start, size);
    summary.stop_lsn = inside(stop, size);
    return summary;
}

// "first..last" of each, apart by a space.
std::string text(const std::vector<WalRange>& ranges)
{
    std::string all;
    for (const WalRange& range : ranges) {
        all += (all.empty() ? "" : " ") + range.first + ".." + range.last;
    }
    return all;
}

std::string name(Timeline timeline, std::uint64_t number, std::uint32_t size = kSegmentSize)
{
    return to_string(WalSegment{timeline, number}, size);
}

std::string between(Timeline timeline, std::uint64_t first, std::uint64_t last)
{
    return name(timeline, first) + ".." + name(timeline, last);
}

BackupWal cover_one(const Runs& there, const BackupSummary& what, const TimelineTree& tree = {})
{
    return cover_wal(names(there), {what}, tree, kSegmentSize).backups.at(0);
}

// 1 was left for 2 in segment 0x15, and 2 for 10 (0A) in segment 0x20.
const TimelineTree kTree = {
    {2, {{1, inside(0x15)}}},
    {10, {{1, inside(0x15)}, {2, inside(0x20)}}},
};

} // namespace

TEST_CASE("an archive without holes has no gaps", "[repository][wal_coverage]")
{
    CHECK(cover_wal({}, {}, {}, kSegmentSize).gaps.empty());
    CHECK(cover_wal(names({{1, 5, 5}}), {}, {}, kSegmentSize).gaps.empty());
    CHECK(cover_wal(names({{1, 5, 300}}), {}, {}, kSegmentSize).gaps.empty());
    CHECK(cover_wal(names({{1, 5, 0x14}, {2, 0x15, 0x30}}), {}, kTree, kSegmentSize).gaps.empty());
    // The old primary went on after the switch, and nobody needs that.
    CHECK(cover_wal(names({{1, 5, 0x18}, {2, 0x15, 0x30}}), {}, kTree, kSegmentSize).gaps.empty());
}

TEST_CASE("segments missing between others are gaps", "[repository][wal_coverage][bug-20]")
{
    const auto found = cover_wal(names({{1, 5, 6}, {1, 8, 9}, {1, 12, 20}}), {}, {}, kSegmentSize);

    CHECK(text(found.gaps) == between(1, 7, 7) + " " + between(1, 10, 11));
}

TEST_CASE("segments follow one another over the end of the low part, whatever their size",
          "[repository][wal_coverage][bug-22]")
{
    const auto [size, last_low, before, after] =
        GENERATE(table<std::uint32_t, std::uint64_t, std::string, std::string>({
            {kMegabyte, 0xFFF, "000000010000000000000FFF", "000000010000000100000000"},
            {16 * kMegabyte, 0xFF, "0000000100000000000000FF", "000000010000000100000000"},
            {64 * kMegabyte, 0x3F, "00000001000000000000003F", "000000010000000100000000"},
            {1024 * kMegabyte, 3, "000000010000000000000003", "000000010000000100000000"},
        }));
    const auto all = names({{1, last_low - 1, last_low + 2}}, size);
    CHECK(all.at(1) == before);
    CHECK(all.at(2) == after);
    CHECK(cover_wal(all, {}, {}, size).gaps.empty());

    auto less = all;
    less.erase(less.begin() + 1);
    CHECK(text(cover_wal(less, {}, {}, size).gaps) == before + ".." + before);
    less = all;
    less.erase(less.begin() + 2);
    CHECK(text(cover_wal(less, {}, {}, size).gaps) == after + ".." + after);
}

TEST_CASE("names that no server with this segment size makes are passed over",
          "[repository][wal_coverage][bug-22]")
{
    const std::vector<std::string> all = {
        "000000010000000000000003", "000000010000000000000040", "000000010000000100000000"};

    const auto found = cover_wal(all, {}, {}, 1024 * kMegabyte);

    CHECK(found.gaps.empty());
}

TEST_CASE("what retention leaves out between two backups is no gap", "[repository][wal_coverage]")
{
    // Backups of 3 to 5 and 20 to 21; what is there besides 3..5 and 20..30, and the gaps.
    const auto [there, gaps] = GENERATE(table<Runs, std::string>({
        {Runs{{1, 3, 5}, {1, 20, 30}}, ""},
        {Runs{{1, 3, 6}, {1, 20, 30}}, between(1, 7, 19)},
        {Runs{{1, 3, 5}, {1, 19, 30}}, between(1, 6, 18)},
        {Runs{{1, 3, 4}, {1, 20, 30}}, between(1, 5, 19)},
        {Runs{{1, 3, 5}, {1, 21, 30}}, between(1, 6, 20)},
        {Runs{{1, 3, 5}, {1, 20, 22}, {1, 24, 30}}, between(1, 23, 23)},
    }));

    const auto found =
        cover_wal(names(there), {backup(1, 3, 5), backup(1, 20, 21)}, {}, kSegmentSize);

    CHECK(text(found.gaps) == gaps);
}

TEST_CASE("retention may leave out the end of one timeline and the beginning of the next",
          "[repository][wal_coverage]")
{
    const auto all = names({{1, 3, 5}, {2, 0x1A, 0x1C}});

    CHECK(
        cover_wal(all, {backup(1, 3, 5), backup(2, 0x1A, 0x1B)}, kTree, kSegmentSize).gaps.empty());
    CHECK(text(cover_wal(all, {backup(1, 3, 5)}, kTree, kSegmentSize).gaps) ==
          between(1, 6, 0x14) + " " + between(2, 0x15, 0x19));
}

TEST_CASE("a gap may lie on either side of a timeline switch", "[repository][wal_coverage][bug-21]")
{
    const auto [there, gaps] = GENERATE(table<Runs, std::string>({
        {Runs{{1, 5, 0x14}, {2, 0x16, 0x18}}, between(2, 0x15, 0x15)},
        {Runs{{1, 5, 0x13}, {2, 0x15, 0x18}}, between(1, 0x14, 0x14)},
        {Runs{{1, 5, 0x12}, {2, 0x17, 0x18}},
         between(1, 0x13, 0x14) + " " + between(2, 0x15, 0x16)},
        {Runs{{1, 5, 0x14}, {2, 0x15, 0x1E}, {10, 0x20, 0x22}}, between(2, 0x1F, 0x1F)},
        {Runs{{1, 5, 0x14}, {2, 0x15, 0x1F}, {10, 0x21, 0x22}}, between(10, 0x20, 0x20)},
        // Nothing of a timeline on the way.
        {Runs{{1, 5, 0x14}, {10, 0x20, 0x22}}, between(2, 0x15, 0x1F)},
        // The old primary's copies do not count for the new timeline.
        {Runs{{1, 5, 0x19}, {2, 0x17, 0x18}}, between(2, 0x15, 0x16)},
    }));

    CHECK(text(cover_wal(names(there), {}, kTree, kSegmentSize).gaps) == gaps);
}

TEST_CASE("a hole that two timelines share is reported once", "[repository][wal_coverage]")
{
    const TimelineTree tree = {{2, {{1, inside(9)}}}, {3, {{1, inside(12)}}}};

    const auto found =
        cover_wal(names({{1, 3, 5}, {2, 9, 9}, {3, 12, 12}}), {}, tree, kSegmentSize);

    CHECK(text(found.gaps) == between(1, 6, 11));
}

TEST_CASE("a timeline without its history is lost when there is an older one",
          "[repository][wal_coverage][bug-21]")
{
    const std::vector<Timeline> none;
    const auto lost =
        [](const Runs& there, const std::vector<BackupSummary>& backups, const TimelineTree& tree) {
            return cover_wal(names(there), backups, tree, kSegmentSize).lost_histories;
        };
    CHECK(lost({{1, 3, 5}, {2, 6, 7}}, {}, {}) == std::vector<Timeline>{2});
    CHECK(lost({{1, 3, 0x15}, {2, 0x15, 0x16}}, {}, kTree) == none);
    CHECK(lost({{10, 3, 5}}, {backup(9, 1, 2)}, {}) == std::vector<Timeline>{10});
    // The cluster had been promoted before it was archived.
    CHECK(lost({{3, 6, 7}}, {backup(3, 6, 6)}, {}) == none);
}

TEST_CASE("a backup misses the segments from its start to its stop that are not there",
          "[repository][wal_coverage]")
{
    const auto [there, missing] = GENERATE(table<Runs, std::string>({
        {Runs{{1, 10, 20}}, ""},
        {Runs{{1, 12, 14}}, ""},
        {Runs{{1, 13, 20}}, between(1, 12, 12)},
        {Runs{{1, 10, 13}}, between(1, 14, 14)},
        {Runs{{1, 10, 12}, {1, 14, 20}}, between(1, 13, 13)},
        {Runs{{1, 13, 13}}, between(1, 12, 12) + " " + between(1, 14, 14)},
        {Runs{}, between(1, 12, 14)},
        {Runs{{2, 10, 20}}, between(1, 12, 14)},
    }));

    CHECK(text(cover_one(there, backup(1, 12, 14)).missing) == missing);
}

TEST_CASE("a stop on the border of a segment does not need that segment",
          "[repository][wal_coverage][bug-22]")
{
    BackupSummary summary = backup(1, 12, 12);
    summary.stop_lsn = Lsn{13 * std::uint64_t{kSegmentSize}};

    CHECK(cover_one({{1, 12, 12}}, summary).missing.empty());
}

TEST_CASE("an offline backup misses nothing", "[repository][wal_coverage]")
{
    BackupSummary summary = backup(1, 0, 0);
    summary.is_online = false;

    const BackupWal wal = cover_one({}, summary);

    CHECK(wal.missing.empty());
    CHECK(wal.last.empty());
}

TEST_CASE("WAL goes on from a backup along the newest timeline it can reach",
          "[repository][wal_coverage][bug-21]")
{
    const auto [there, timeline, last, ends_at_gap] =
        GENERATE(table<Runs, Timeline, std::string, bool>({
            {Runs{{1, 10, 0x14}, {2, 0x15, 0x1F}, {10, 0x20, 0x25}}, 10, name(10, 0x25), false},
            {Runs{{1, 10, 0x14}, {2, 0x15, 0x1F}}, 10, name(2, 0x1F), false},
            {Runs{{1, 10, 0x14}, {2, 0x15, 0x18}}, 10, name(2, 0x18), false},
            {Runs{{1, 10, 0x14}, {2, 0x15, 0x1E}, {10, 0x20, 0x25}}, 10, name(2, 0x1E), true},
            {Runs{{1, 10, 0x14}, {2, 0x15, 0x17}, {2, 0x19, 0x19}}, 10, name(2, 0x17), true},
            {Runs{{1, 10, 0x13}, {10, 0x20, 0x25}}, 10, name(1, 0x13), true},
            // What came later on a timeline that was left is not on the way.
            {Runs{{1, 10, 0x13}, {1, 0x15, 0x18}}, 10, name(1, 0x13), false},
            {Runs{{1, 14, 0x14}}, 10, "", true},
            {Runs{}, 10, "", false},
        }));

    const BackupWal wal = cover_one(there, backup(1, 12, 13), kTree);

    CHECK(wal.timeline == timeline);
    CHECK(wal.last == last);
    CHECK(wal.ends_at_gap == ends_at_gap);
}

TEST_CASE("a backup that ended after the switch stays on its timeline",
          "[repository][wal_coverage][bug-21]")
{
    const BackupWal wal =
        cover_one({{1, 0x14, 0x18}, {2, 0x15, 0x19}}, backup(1, 0x14, 0x16), kTree);

    CHECK(wal.timeline == 1);
    CHECK(wal.last == name(1, 0x18));
}

// A standby's backup ends in the segment in which the standby is then promoted.
TEST_CASE("of the segment in which a timeline ends either copy serves the backup",
          "[repository][wal_coverage][bug-21]")
{
    BackupSummary summary = backup(1, 0x14, 0x15);
    summary.stop_lsn.value -= 0x10;

    const BackupWal childs = cover_one({{1, 0x14, 0x14}, {2, 0x15, 0x16}}, summary, kTree);
    CHECK(childs.missing.empty());
    CHECK(childs.last == name(2, 0x16));

    const BackupWal own = cover_one({{1, 0x14, 0x15}, {2, 0x16, 0x16}}, summary, kTree);
    CHECK(own.missing.empty());
    CHECK(own.last == name(2, 0x16));
    CHECK_FALSE(own.ends_at_gap);

    CHECK(text(cover_one({{1, 0x14, 0x14}}, summary, kTree).missing) == between(1, 0x15, 0x15));
}

TEST_CASE("numbers that no cluster reaches take no time", "[repository][wal_coverage]")
{
    BackupSummary summary = backup(1, 1, 1);
    summary.stop_lsn = Lsn{UINT64_MAX};
    const TimelineTree tree = {{2, {{1, Lsn{UINT64_MAX}}}},
                               {4, {{1, Lsn{UINT64_MAX}}, {3, Lsn{0}}}}};

    const auto found =
        cover_wal(names({{1, 1, 2}, {2, 5, 5}, {4, 7, 7}}), {summary}, tree, kSegmentSize);

    CHECK(found.backups.at(0).missing.size() == 1);
    CHECK(found.backups.at(0).missing.at(0).first == name(1, 3));
}
