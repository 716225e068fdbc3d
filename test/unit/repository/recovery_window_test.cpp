// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/wal_segments.hpp"

#include "pgstrata/repository/recovery_window.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using pgstrata::postgres::Lsn;
using pgstrata::postgres::Timeline;
using pgstrata::postgres::WalSegment;

namespace {

std::string segment_name(std::uint64_t number, Timeline timeline = 1)
{
    return to_string(WalSegment{timeline, number}, kSegmentSize);
}

// Named by the time at which it ends.
BackupSummary backup_until(UnixSeconds stop, std::uint64_t first, std::uint64_t last)
{
    BackupSummary summary;
    summary.label = std::to_string(stop);
    summary.timeline = 1;
    summary.start_lsn = inside(first);
    summary.stop_lsn = inside(last);
    summary.stop_time = stop;
    return summary;
}

struct Run {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    Timeline timeline = 1;
};

std::vector<std::string> window_names(const std::vector<Run>& runs)
{
    std::vector<std::string> all;
    for (const Run& run : runs) {
        for (auto number = run.first; number <= run.last; ++number) {
            all.push_back(segment_name(number, run.timeline));
        }
    }
    std::ranges::sort(all);
    return all;
}

std::string text(const std::optional<UnixSeconds>& time)
{
    return time ? std::to_string(*time) : "?";
}

// "start-stop" of each stretch. What is not known of its end is taken from the number of its last
// segment: the last transaction in segment 7 is of 700.
std::string text(std::vector<WindowStretch>& stretches)
{
    std::string all;
    for (WindowStretch& stretch : stretches) {
        if (!stretch.stop) {
            const auto last = postgres::parse_wal_segment(stretch.last_wal, kSegmentSize);
            stretch.stop = static_cast<UnixSeconds>(last.value().number * 100);
        }
        all += fmt::format("{}{}-{}", all.empty() ? "" : " ", stretch.start, *stretch.stop);
    }
    return all;
}

// "after-before(first missing..last missing)" of each gap, by numbers of segments.
std::string text(const std::vector<WindowGap>& gaps)
{
    std::string all;
    for (const WindowGap& gap : gaps) {
        all += fmt::format("{}{}-{}", all.empty() ? "" : " ", text(gap.after), text(gap.before));
        for (const WalRange& range : gap.missing) {
            all +=
                fmt::format("({}..{})",
                            postgres::parse_wal_segment(range.first, kSegmentSize).value().number,
                            postgres::parse_wal_segment(range.last, kSegmentSize).value().number);
        }
    }
    return all;
}

} // namespace

TEST_CASE("the window has a stretch for what recovery reaches from each backup, and what lies "
          "between are gaps",
          "[repository][recovery_window][bug-20]")
{
    // Backups of segments 2-3, 10-11 and 20-21 that end at 310, 1110 and 2110.
    const std::vector<BackupSummary> backups = {
        backup_until(310, 2, 3), backup_until(1110, 10, 11), backup_until(2110, 20, 21)};
    const auto [wal, stretches, gaps] = GENERATE(table<std::vector<Run>, std::string, std::string>({
        {{{1, 30}}, "310-3000", ""},
        {{{2, 5}, {7, 30}}, "310-500 1110-3000", "500-1110(6..6)"},
        {{{2, 5}, {7, 8}, {10, 30}}, "310-500 1110-3000", "500-1110(6..6)(9..9)"},
        // The hole is after the last backup: what follows it is lost until the next one.
        {{{2, 24}, {26, 30}}, "310-2400", "2400-?(25..25)"},
        {{{2, 5}, {7, 24}, {26, 30}}, "310-500 1110-2400", "500-1110(6..6) 2400-?(25..25)"},
        // Retention left only what makes the older ones consistent.
        {{{2, 3}, {10, 11}, {20, 30}}, "310-310 1110-1110 2110-3000", "310-1110 1110-2110"},
        // A backup without its own WAL begins nothing.
        {{{2, 9}, {11, 30}}, "310-900 2110-3000", "900-2110(10..10)"},
        {{{3, 30}}, "1110-3000", ""},
        {{}, "", ""},
        // Of the newest the last segment is looked at, and holds nothing after it.
        {{{2, 3}, {10, 11}, {20, 21}}, "310-310 1110-1110 2110-2100", "310-1110 1110-2110"},
    }));
    const WalCoverage coverage = cover_wal(window_names(wal), backups, {}, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    CHECK(text(found) == stretches);
    CHECK(text(find_window_gaps(found, coverage.gaps, kSegmentSize)) == gaps);
}

TEST_CASE("missing WAL is a gap even between moments of the same second",
          "[repository][recovery_window][bug-20]")
{
    const std::vector<BackupSummary> backups = {backup_until(310, 2, 3), backup_until(500, 10, 11)};
    const WalCoverage coverage =
        cover_wal(window_names({{2, 5}, {7, 30}}), backups, {}, kSegmentSize);
    auto found = find_stretches(backups, coverage, kSegmentSize);
    CHECK(text(found) == "310-500 500-3000");

    CHECK(text(find_window_gaps(found, coverage.gaps, kSegmentSize)) == "500-500(6..6)");
}

TEST_CASE("backups whose WAL ends in the same segment share a stretch, and its end is looked for",
          "[repository][recovery_window]")
{
    // As of a standby, where a backup does not end its segment.
    const std::vector<BackupSummary> backups = {
        backup_until(250, 2, 3), backup_until(290, 3, 3), backup_until(2110, 20, 21)};
    const WalCoverage coverage =
        cover_wal(window_names({{2, 3}, {20, 30}}), backups, {}, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    CHECK(text(found) == "250-300 2110-3000");
}

TEST_CASE("a stretch goes on over a change of the timeline", "[repository][recovery_window]")
{
    const TimelineTree tree = {{2, {{1, inside(15)}}}};
    const std::vector<BackupSummary> backups = {backup_until(310, 2, 3)};
    const WalCoverage coverage =
        cover_wal(window_names({{2, 15}, {15, 20, 2}}), backups, tree, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    CHECK(text(found) == "310-2000");
    CHECK(found.at(0).timeline == 2);
    CHECK(found.at(0).last_wal == segment_name(20, 2));
    CHECK(find_window_gaps(found, coverage.gaps, kSegmentSize).empty());
}

TEST_CASE("what only an abandoned timeline reaches does not hide what the newest does",
          "[repository][recovery_window]")
{
    // The second backup was taken on timeline 1 after timeline 2 had left it in segment 5.
    const TimelineTree tree = {{2, {{1, inside(5)}}}};
    const std::vector<BackupSummary> backups = {backup_until(310, 2, 3), backup_until(710, 6, 7)};
    const WalCoverage coverage =
        cover_wal(window_names({{2, 8}, {5, 20, 2}}), backups, tree, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    CHECK(text(found) == "310-2000 710-800");
    CHECK(find_window_gaps(found, coverage.gaps, kSegmentSize).empty());
    CHECK(window_stop({found, {}, {}}) == 2000);
}

TEST_CASE("an offline backup is one moment and needs no WAL", "[repository][recovery_window]")
{
    std::vector<BackupSummary> backups = {backup_until(310, 2, 3), backup_until(600, 6, 6)};
    backups[1].is_online = false;
    const WalCoverage coverage = cover_wal(window_names({{2, 4}}), backups, {}, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    CHECK(text(found) == "310-400 600-600");
    CHECK(text(find_window_gaps(found, coverage.gaps, kSegmentSize)) == "400-600");
    CHECK(window_stop({found, {}, {}}) == 600);
}

TEST_CASE("an end that is not known stays so", "[repository][recovery_window]")
{
    const std::vector<BackupSummary> backups = {backup_until(310, 2, 3),
                                                backup_until(1110, 10, 11)};
    const WalCoverage coverage =
        cover_wal(window_names({{2, 5}, {7, 30}}), backups, {}, kSegmentSize);

    auto found = find_stretches(backups, coverage, kSegmentSize);

    REQUIRE(found.size() == 2);
    CHECK_FALSE(found[0].stop);
    CHECK_FALSE(found[1].stop);
    CHECK(text(find_window_gaps(found, coverage.gaps, kSegmentSize)) == "?-1110(6..6)");
    CHECK_FALSE(window_stop({found, {}, {}}));
    CHECK_FALSE(window_stop({}));
}
