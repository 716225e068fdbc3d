// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/repository/wal_segments.hpp"

#include "pgstrata/repository/recovery_plan.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using pgstrata::postgres::Lsn;
using pgstrata::postgres::Timeline;
using pgstrata::test::HasCode;
using Follow = RecoveryTarget::Follow;

namespace {

BackupSummary make_backup(std::string label, Timeline timeline, UnixSeconds stop, Lsn stop_lsn)
{
    BackupSummary backup;
    backup.label = std::move(label);
    backup.timeline = timeline;
    backup.stop_time = stop;
    backup.start_lsn = Lsn{stop_lsn.value - 0x100};
    backup.stop_lsn = stop_lsn;
    return backup;
}

// Its summary does not tell where in the WAL it was made.
BackupSummary make_offline_backup(std::string label, Timeline timeline)
{
    BackupSummary backup;
    backup.label = std::move(label);
    backup.timeline = timeline;
    backup.is_online = false;
    backup.stop_time = 6000;
    return backup;
}

// Three backups on timeline 1, then one on 2 and one on 3.
//
//   1 --a--b--c------+           1 was left for 2 at 0/5000000, and for 4 at 0/3500000
//            |        +--d--+    2 was left for 3 at 0/7000000
//            +-- 4           +--e
const std::vector<BackupSummary> kBackups = {
    make_backup("a", 1, 1000, Lsn{0x2000100}),
    make_backup("b", 1, 2000, Lsn{0x3000100}),
    make_backup("c", 1, 3000, Lsn{0x4000100}),
    make_backup("d", 2, 4000, Lsn{0x6000100}),
    make_backup("e", 3, 5000, Lsn{0x8000100}),
};
const TimelineTree kForkedTree = {
    {2, {{1, Lsn{0x5000000}}}},
    {3, {{1, Lsn{0x5000000}}, {2, Lsn{0x7000000}}}},
    {4, {{1, Lsn{0x3500000}}}},
};

RecoveryTarget time_target(std::int64_t microseconds)
{
    RecoveryTarget target;
    target.type = RecoveryType::time;
    target.time = microseconds;
    return target;
}

RecoveryTarget lsn_target(std::uint64_t lsn)
{
    RecoveryTarget target;
    target.type = RecoveryType::lsn;
    target.lsn = Lsn{lsn};
    return target;
}

RecoveryTarget follow(Follow how, Timeline timeline = 0)
{
    RecoveryTarget target;
    target.follow = how;
    target.timeline = timeline;
    return target;
}

std::string chosen(const RecoveryTarget& target)
{
    const BackupSummary* backup = choose_backup(kBackups, target, kForkedTree);
    return backup != nullptr ? backup->label : "none";
}

const BackupSummary& backup_named(char label)
{
    return kBackups.at(static_cast<std::size_t>(label - 'a'));
}

std::string describe(const std::vector<WalStretch>& path, std::uint32_t segment_size)
{
    std::string text;
    for (const WalStretch& stretch : path) {
        text += postgres::to_string(stretch.first, segment_size) + "-";
        if (stretch.last_number) {
            text +=
                postgres::to_string({stretch.first.timeline, *stretch.last_number}, segment_size) +
                " ";
        }
    }
    return text;
}

} // namespace

TEST_CASE("without a target the newest backup is taken", "[recovery_plan]")
{
    const auto type = GENERATE(RecoveryType::standard,
                               RecoveryType::immediate,
                               RecoveryType::name,
                               RecoveryType::xid,
                               RecoveryType::preserve,
                               RecoveryType::standby,
                               RecoveryType::none);
    RecoveryTarget target;
    target.type = type;
    CHECK(chosen(target) == "e");
    CHECK(choose_backup({}, target, kForkedTree) == nullptr);
}

// A summary holds whole seconds: a backup that ended "at 2000" may have ended at 2000.9.
TEST_CASE("a time target takes the newest backup that surely ended before it",
          "[recovery_plan][bug-40]")
{
    struct Row {
        std::int64_t time;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {6000 * kMicrosecondsPerSecond, "e"},
        {5001 * kMicrosecondsPerSecond, "e"},
        {5000 * kMicrosecondsPerSecond, "d"},
        {2001 * kMicrosecondsPerSecond, "b"},
        {2000 * kMicrosecondsPerSecond + 999999, "a"},
        {2000 * kMicrosecondsPerSecond, "a"},
        {2000 * kMicrosecondsPerSecond - 1, "a"},
        {1000 * kMicrosecondsPerSecond + 500000, "none"},
        {1000 * kMicrosecondsPerSecond, "none"},
        {0, "none"},
        {-1, "none"},
    }));
    CAPTURE(row.time);
    CHECK(chosen(time_target(row.time)) == row.expected);
}

TEST_CASE("an lsn target takes the newest backup that ends at or before it",
          "[recovery_plan][bug-40]")
{
    struct Row {
        std::uint64_t lsn;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {0x9000000, "e"},
        {0x4000101, "c"},
        {0x4000100, "c"},
        {0x40000FF, "b"},
        {0x2000100, "a"},
        {0x20000FF, "none"},
        {0, "none"},
    }));
    const bool is_exclusive = GENERATE(false, true);
    CAPTURE(row.lsn, is_exclusive);
    // To stop before or after a record makes no difference: the backup's last record ends at its
    // stop.
    RecoveryTarget target = lsn_target(row.lsn);
    target.is_exclusive = is_exclusive;
    CHECK(chosen(target) == row.expected);
}

TEST_CASE("an offline backup is not taken for an lsn that it may lie behind",
          "[recovery_plan][bug-40]")
{
    std::vector<BackupSummary> backups = kBackups;
    backups.push_back(make_offline_backup("f", 3));
    const BackupSummary* backup = choose_backup(backups, lsn_target(0x4000100), kForkedTree);
    REQUIRE(backup != nullptr);
    CHECK(backup->label == "c");
    CHECK(choose_backup({make_offline_backup("f", 1)}, lsn_target(0x4000100), {}) == nullptr);
}

TEST_CASE("an offline backup surely reaches its own timeline only", "[recovery_plan][bug-21]")
{
    const BackupSummary backup = make_offline_backup("x", 1);
    CHECK(can_reach(backup, 1, kForkedTree));
    CHECK_FALSE(can_reach(backup, 2, kForkedTree));
    CHECK(choose_timeline(backup, follow(Follow::newest), kForkedTree) == 1);
}

TEST_CASE("a timeline that is asked for decides which backups can be used",
          "[recovery_plan][bug-21][bug-40]")
{
    struct Row {
        Timeline timeline;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {1, "c"},      // the later ones are on timelines that nobody can go back from
        {2, "d"},      // e is on a child of 2
        {3, "e"},      //
        {4, "b"},      // c ended after 1 was left for 4
        {9, "none"},   // there is no history of it
        {0x10, "none"} //
    }));
    CAPTURE(row.timeline);
    CHECK(chosen(follow(Follow::number, row.timeline)) == row.expected);
}

TEST_CASE("a target and a timeline must both fit", "[recovery_plan][bug-40]")
{
    RecoveryTarget target = time_target(2500 * kMicrosecondsPerSecond);
    target.follow = Follow::number;
    target.timeline = 4;
    CHECK(chosen(target) == "b");
    target.time = 1500 * kMicrosecondsPerSecond;
    CHECK(chosen(target) == "a");
    target.time = 500 * kMicrosecondsPerSecond;
    CHECK(chosen(target) == "none");
    target.time = 9999 * kMicrosecondsPerSecond;
    target.timeline = 2;
    CHECK(chosen(target) == "d");
}

TEST_CASE("a timeline can be reached when it was left at or after the backup's stop",
          "[recovery_plan][bug-21][bug-40]")
{
    struct Row {
        std::uint64_t stop;
        bool is_reachable;
    };
    const auto row = GENERATE(values<Row>(
        {{0x34FFFF8, true}, {0x3500000, true}, {0x3500008, false}, {0x4000000, false}}));
    CAPTURE(row.stop);
    const BackupSummary backup = make_backup("x", 1, 1000, Lsn{row.stop});
    CHECK(can_reach(backup, 4, kForkedTree) == row.is_reachable);
    CHECK(can_reach(backup, 1, kForkedTree));
    CHECK_FALSE(can_reach(backup, 5, kForkedTree));
}

TEST_CASE("a backup reaches what comes after its own timeline and nothing else",
          "[recovery_plan][bug-21]")
{
    struct Row {
        char backup;
        std::vector<Timeline> reachable;
    };
    const auto row = GENERATE(values<Row>({
        {'a', {1, 2, 3, 4}},
        {'b', {1, 2, 3, 4}},
        {'c', {1, 2, 3}},
        {'d', {2, 3}},
        {'e', {3}},
    }));
    CAPTURE(row.backup);
    std::vector<Timeline> reachable;
    for (Timeline timeline = 0; timeline < 20; ++timeline) {
        if (can_reach(backup_named(row.backup), timeline, kForkedTree)) {
            reachable.push_back(timeline);
        }
    }
    CHECK(reachable == row.reachable);
}

TEST_CASE("a timeline whose own history is lost cannot be reached from its parent",
          "[recovery_plan][bug-21]")
{
    TimelineTree tree = kForkedTree;
    tree.erase(3);
    CHECK(can_reach(backup_named('e'), 3, tree));
    CHECK_FALSE(can_reach(backup_named('d'), 3, tree));
    CHECK(choose_timeline(backup_named('d'), follow(Follow::newest), tree) == 2);
}

TEST_CASE("recovery ends on the newest timeline that can be reached, or on the one asked for",
          "[recovery_plan][bug-21][bug-39]")
{
    struct Row {
        char backup;
        RecoveryType type;
        Follow how;
        Timeline number;
        Timeline expected;
    };
    const auto row = GENERATE(values<Row>({
        {'a', RecoveryType::standard, Follow::newest, 0, 4},
        {'b', RecoveryType::time, Follow::newest, 0, 4},
        {'c', RecoveryType::standard, Follow::newest, 0, 3}, // 4 was split off before c ended
        {'d', RecoveryType::lsn, Follow::newest, 0, 3},
        {'e', RecoveryType::standby, Follow::newest, 0, 3},
        {'a', RecoveryType::standard, Follow::current, 0, 1},
        {'d', RecoveryType::time, Follow::current, 0, 2},
        {'a', RecoveryType::immediate, Follow::newest, 0, 1},
        {'d', RecoveryType::immediate, Follow::current, 0, 2},
        {'a', RecoveryType::standard, Follow::number, 1, 1},
        {'a', RecoveryType::standard, Follow::number, 2, 2},
        {'b', RecoveryType::xid, Follow::number, 4, 4},
        {'d', RecoveryType::standard, Follow::number, 3, 3},
    }));
    CAPTURE(row.backup, static_cast<int>(row.type), static_cast<int>(row.how), row.number);
    RecoveryTarget target = follow(row.how, row.number);
    target.type = row.type;
    CHECK(choose_timeline(backup_named(row.backup), target, kForkedTree) == row.expected);
}

TEST_CASE("a timeline that cannot be reached is refused with both named",
          "[recovery_plan][bug-21][bug-40]")
{
    struct Row {
        char backup;
        Timeline timeline;
    };
    const auto row = GENERATE(values<Row>({{'c', 4}, {'d', 1}, {'e', 2}, {'a', 5}, {'a', 0}}));
    CAPTURE(row.backup, row.timeline);
    const RecoveryTarget target = follow(Follow::number, row.timeline);
    const BackupSummary& backup = backup_named(row.backup);
    CHECK_THROWS_MATCHES(
        choose_timeline(backup, target, kForkedTree), Error, HasCode(ErrorCode::db_mismatch));
    CHECK_THROWS_WITH(choose_timeline(backup, target, kForkedTree),
                      Catch::Contains("backup " + backup.label) &&
                          Catch::Contains(fmt::format("timeline {} cannot", row.timeline)));
}

TEST_CASE("the latest timeline is the newest there is, whether or not it can be reached",
          "[recovery_plan]")
{
    const RecoveryTarget target = follow(Follow::latest);

    CHECK(choose_timeline(backup_named('a'), target, kForkedTree) == 4);
    CHECK(choose_timeline(backup_named('e'), target, {}) == 3);
    CHECK_THROWS_MATCHES(choose_timeline(backup_named('c'), target, kForkedTree),
                         Error,
                         HasCode(ErrorCode::db_mismatch));
    REQUIRE(choose_backup(kBackups, target, kForkedTree) != nullptr);
    CHECK(choose_backup(kBackups, target, kForkedTree)->label == "b");
}

TEST_CASE("the WAL of a recovery begins with the backup's first segment", "[recovery_plan]")
{
    BackupSummary backup = make_backup("x", 1, 1000, Lsn{0x2000100});
    backup.start_lsn = Lsn{0x2000028};
    CHECK(describe(wal_path(backup, 1, kForkedTree, kSegmentSize), kSegmentSize) ==
          "000000010000000000000002-");
}

TEST_CASE("the WAL of a recovery changes its timeline in the segment of the switch",
          "[recovery_plan][bug-21]")
{
    struct Row {
        std::string what;
        Timeline timeline;
        postgres::TimelineHistory history;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {"inside a segment",
         2,
         {{1, Lsn{0x5000100}}},
         "000000010000000000000002-000000010000000000000004 000000020000000000000005-"},
        {"on a border: the segment before it is the parent's last",
         2,
         {{1, Lsn{0x5000000}}},
         "000000010000000000000002-000000010000000000000004 000000020000000000000005-"},
        {"in the backup's first segment: only the child has it",
         2,
         {{1, Lsn{0x2000200}}},
         "000000020000000000000002-"},
        {"twice",
         3,
         {{1, Lsn{0x4000100}}, {2, Lsn{0x6000100}}},
         "000000010000000000000002-000000010000000000000003 "
         "000000020000000000000004-000000020000000000000005 000000030000000000000006-"},
        {"twice in one segment: the timeline between has no segment of its own",
         3,
         {{1, Lsn{0x4000100}}, {2, Lsn{0x4000200}}},
         "000000010000000000000002-000000010000000000000003 000000030000000000000004-"},
        {"to a timeline above 9: names are hexadecimal, histories decimal",
         16,
         {{1, Lsn{0x4000100}}, {10, Lsn{0x5000100}}},
         "000000010000000000000002-000000010000000000000003 "
         "0000000A0000000000000004-0000000A0000000000000004 000000100000000000000005-"},
    }));
    CAPTURE(row.what);
    BackupSummary backup = make_backup("x", 1, 1000, Lsn{0x2000100});
    backup.start_lsn = Lsn{0x2000028};
    const TimelineTree tree = {{row.timeline, row.history}};
    CHECK(describe(wal_path(backup, row.timeline, tree, kSegmentSize), kSegmentSize) ==
          row.expected);
}

TEST_CASE("what came before the backup's own timeline is no part of its WAL", "[recovery_plan]")
{
    BackupSummary backup = make_backup("x", 2, 1000, Lsn{0x6000100});
    backup.start_lsn = Lsn{0x6000028};
    CHECK(describe(wal_path(backup, 3, kForkedTree, kSegmentSize), kSegmentSize) ==
          "000000020000000000000006-000000020000000000000006 000000030000000000000007-");
}

TEST_CASE("segments of other sizes are counted over the border of the names",
          "[recovery_plan][bug-22]")
{
    constexpr std::uint32_t kGibibyte = 1U << 30U;
    BackupSummary backup = make_backup("x", 1, 1000, Lsn{0xC0000100});
    backup.start_lsn = Lsn{0xC0000028};
    const TimelineTree tree = {{2, {{1, Lsn{0x140000100}}}}};
    CHECK(describe(wal_path(backup, 2, tree, kGibibyte), kGibibyte) ==
          "000000010000000000000003-000000010000000100000000 000000020000000100000001-");
}
