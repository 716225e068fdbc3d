// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/retention_fixture.hpp"

#include "pgstrata/repository/wal_coverage.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

RetentionPolicy with_archive(std::uint64_t count, BackupType type = BackupType::full)
{
    RetentionPolicy policy;
    policy.archive = count;
    policy.archive_type = type;
    return policy;
}

RetentionRequest wal_before(const std::string& segment)
{
    RetentionRequest request;
    request.archive_before = segment;
    return request;
}

ArchivePlan plan_last(CatalogBuilder& builder,
                      const RetentionPolicy& policy,
                      const RetentionRequest& request = {})
{
    return plan_retention(builder.catalog(), policy, kNow, request).archives.back();
}

} // namespace

TEST_CASE("WAL is kept from the oldest of the newest backups on, and what older ones need",
          "[retention][wal]")
{
    struct Case {
        std::string backups; // the n-th fills the segments 10n+1 and 10n+2
        std::uint64_t count;
        BackupType type;
        std::string kept;
    };
    const auto [backups, count, type, kept] =
        GENERATE(Case{"F", 1, BackupType::full, "11-"},
                 Case{"FF", 1, BackupType::full, "11-12 21-"},
                 Case{"FFF", 2, BackupType::full, "11-12 21-"},
                 Case{"FDFI", 1, BackupType::full, "11-12 21-22 31-"},
                 Case{"FDIDI", 1, BackupType::diff, "11-12 21-22 31-32 41-"},
                 Case{"FDIDI", 2, BackupType::diff, "11-12 21-"},
                 Case{"FDIDI", 1, BackupType::incr, "11-12 21-22 31-32 41-42 51-"},
                 Case{"FDIDI", 3, BackupType::incr, "11-12 21-22 31-"});
    CatalogBuilder builder;
    builder.add_all(backups);
    CHECK(kept_segments(plan_last(builder, with_archive(count, type))) == kept);
}

TEST_CASE("the WAL of removed backups goes", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FDFDF");
    CHECK(kept_segments(plan_last(builder, keep_fulls(2))) == "31-");
    CHECK(kept_segments(plan_last(builder, keep_fulls(1))) == "51-");
}

TEST_CASE("no WAL goes while there are fewer backups than are to have it",
          "[retention][wal][bug-29][bug-30]")
{
    CatalogBuilder builder;
    SECTION("none in a new repository")
    {
        CHECK(plan_last(builder, keep_fulls(1)).hold == WalHold::too_few);
    }
    SECTION("too few")
    {
        builder.add_all("FF");
        CHECK(plan_last(builder, keep_fulls(3)).hold == WalHold::too_few);
        CHECK(plan_last(builder, keep_fulls(2)).hold == WalHold::none);
    }
    SECTION("too few of the type that counts")
    {
        builder.add_all("FII");
        CHECK(plan_last(builder, with_archive(2, BackupType::diff)).hold == WalHold::too_few);
        CHECK(plan_last(builder, with_archive(2, BackupType::incr)).hold == WalHold::none);
    }
    SECTION("nor when there is no number")
    {
        builder.add_all("FF");
        CHECK(plan_last(builder, RetentionPolicy()).hold == WalHold::not_set);
    }
}

TEST_CASE("with fulls kept by days, WAL goes once one is older than those",
          "[retention][wal][bug-29]")
{
    CatalogBuilder builder;
    builder.add_all("FFFI");
    RetentionPolicy policy;
    policy.full_type = FullRetention::days;
    policy.full = 9;
    CHECK(plan_last(builder, policy).hold == WalHold::time_not_met);
    policy.full = 2;
    CHECK(kept_segments(plan_last(builder, policy)) == "21-");
    policy.full = 1;
    CHECK(kept_segments(plan_last(builder, policy)) == "31-");
    SECTION("or as the number says")
    {
        policy.full = 2;
        policy.archive = 1;
        CHECK(kept_segments(plan_last(builder, policy)) == "21-22 31-");
        policy.archive = 3;
        CHECK(plan_last(builder, policy).hold == WalHold::too_few);
    }
}

TEST_CASE("every generation keeps the WAL of its own backups", "[retention][wal][bug-29]")
{
    CatalogBuilder builder;
    builder.add("F1", 9);
    builder.add("F2", 8);
    builder.upgrade();
    builder.add("F3", 7);
    builder.upgrade();
    const auto archives = [&](const RetentionPolicy& policy) {
        return plan_retention(builder.catalog(), policy, kNow).archives;
    };
    SECTION("a backup of its own is needed for WAL to go")
    {
        const auto plans = archives(with_archive(1));
        CHECK(kept_segments(plans.at(0)) == "11-12 21-");
        CHECK(kept_segments(plans.at(1)) == "11-");
        CHECK(plans.at(2).hold == WalHold::too_few);
    }
    SECTION("a generation without backups goes whole, but for the current one")
    {
        const auto plans = archives(keep_fulls(1));
        CHECK(plans.at(0).is_dropped);
        CHECK(kept_segments(plans.at(1)) == "11-");
        CHECK_FALSE(plans.at(2).is_dropped);
    }
    SECTION("not while a backup cannot be read")
    {
        builder.damage("F2");
        const auto plans = archives(keep_fulls(1));
        CHECK(plans.at(0).hold == WalHold::unreadable);
        CHECK(plans.at(1).hold == WalHold::unreadable);
    }
}

TEST_CASE("an earlier generation keeps WAL from its newest backup of the type that counts",
          "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add("F1", 9);
    builder.add("D1", 8);
    builder.add("I1", 7);
    builder.upgrade();
    builder.add("F2", 6);
    const auto kept = [&](BackupType type) {
        return kept_segments(
            plan_retention(builder.catalog(), with_archive(1, type), kNow).archives.at(0));
    };

    CHECK(kept(BackupType::full) == "11-");
    CHECK(kept(BackupType::diff) == "11-12 21-");
    CHECK(kept(BackupType::incr) == "11-12 21-22 31-");
}

TEST_CASE("an earlier generation keeps WAL from a backup that can be restored", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add("F1", 9);
    builder.add("F2", 8);
    builder.add("F3", 7);
    builder.upgrade();
    builder.add("F4", 6);
    const auto kept = [&] {
        return kept_segments(
            plan_retention(builder.catalog(), with_archive(1), kNow).archives.at(0));
    };
    builder.flaw("F3");
    CHECK(kept() == "11-12 21-");
    builder.flaw("F2");
    builder.flaw("F1");
    CHECK(kept() == "11-");
}

TEST_CASE("WAL of later timelines is kept, and that of earlier ones for the backups on them",
          "[retention][wal][bug-29]")
{
    CatalogBuilder builder;
    builder.add("F1", 9);
    builder.switch_timeline();
    builder.add("F2", 8);
    builder.switch_timeline();
    builder.add("F3", 7);
    const ArchivePlan plan = plan_last(builder, with_archive(1));
    CHECK(kept_segments(plan, 1) == "11-12");
    CHECK(kept_segments(plan, 2) == "21-22");
    CHECK(kept_segments(plan, 3) == "31-");
    CHECK(kept_segments(plan, 4) == "1-");
    CHECK(is_history_kept(plan, 2));
    CHECK(is_history_kept(plan, 3));
    CHECK(is_history_kept(plan, 4));
    SECTION("history files go with the backups of their timelines")
    {
        const ArchivePlan less = plan_last(builder, keep_fulls(1));
        CHECK_FALSE(is_history_kept(less, 2));
        CHECK(is_history_kept(less, 3));
    }
}

TEST_CASE("a later backup of an earlier timeline keeps the WAL that follows it",
          "[retention][wal][bug-29]")
{
    CatalogBuilder builder;
    builder.switch_timeline();
    builder.add("F1", 9);
    BackupSummary& stray = builder.add("F2", 8);
    stray.timeline = 1;
    stray.start_wal = "000000010000000000000029";
    stray.stop_wal = "000000010000000000000030";
    const ArchivePlan plan = plan_last(builder, with_archive(2));
    CHECK(kept_segments(plan, 1) == "41-");
    CHECK(kept_segments(plan, 2) == "11-");
}

TEST_CASE("without knowing where a backup begins no WAL goes", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FFF");
    BackupSummary& backup = builder.at(GENERATE("F1", "F2"));
    const bool is_first_continuous = backup.label == builder.label("F2");
    SECTION("an offline backup does not tell")
    {
        backup.is_online = false;
        backup.start_wal.clear();
        backup.stop_wal.clear();
        const ArchivePlan plan = plan_last(builder, with_archive(2));
        CHECK(plan.hold == (is_first_continuous ? WalHold::no_start : WalHold::none));
        if (!is_first_continuous) {
            CHECK(kept_segments(plan) == "21-");
        }
    }
    SECTION("nor does one with a name that is none")
    {
        backup.start_wal = GENERATE("", "../etc", "00000001000000000000000g");
        CHECK(plan_last(builder, with_archive(2)).hold == WalHold::no_start);
    }
}

TEST_CASE("the WAL of pinned backups is kept", "[retention][wal][bug-29][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FIIFF");
    builder.at("I1").is_pinned = true;
    CHECK(kept_segments(plan_last(builder, keep_fulls(1))) == "11-12 21-22 51-");
}

TEST_CASE("our own rules keep WAL from the oldest backup on", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FFFF");
    RetentionPolicy policy;
    SECTION("by periods")
    {
        policy.keep = KeepCounts{.daily = 2};
        CHECK(kept_segments(plan_last(builder, policy)) == "31-");
    }
    SECTION("by schedule")
    {
        builder.at("F1").schedule = "daily";
        policy.schedules = {{"daily", 1}};
        CHECK(kept_segments(plan_last(builder, policy)) == "21-");
    }
    SECTION("where fewer backups are counted than there should be")
    {
        policy = keep_fulls(9);
        policy.keep = KeepCounts{.daily = 3};
        CHECK(kept_segments(plan_last(builder, policy)) == "11-");
    }
    SECTION("unless a number is given")
    {
        policy.keep = KeepCounts{.daily = 3};
        policy.archive = 2;
        CHECK(kept_segments(plan_last(builder, policy)) == "21-22 31-");
    }
}

TEST_CASE("any moment of the window can be restored", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FFFF"); // four days ago, three...
    RetentionPolicy policy = keep_fulls(1);
    policy.pitr = 2 * kDay;
    const ArchivePlan plan = plan_last(builder, policy);
    CHECK(kept_segments(plan) == "21-");
    CHECK(plan.stored_since == kNow - 2 * kDay);
    SECTION("whatever the number says")
    {
        policy.archive = 9;
        CHECK(plan_last(builder, policy).hold == WalHold::too_few);
    }
    SECTION("without any other rule")
    {
        policy = RetentionPolicy();
        policy.pitr = 2 * kDay;
        CHECK(kept_segments(plan_last(builder, policy)) == "11-12 21-");
    }
    SECTION("in all generations since it began")
    {
        builder.upgrade();
        builder.add("F5", 0.5);
        const auto plans = plan_retention(builder.catalog(), policy, kNow).archives;
        CHECK(kept_segments(plans.at(0)) == "21-");
        CHECK(plans.at(1).hold == WalHold::no_window);
    }
    SECTION("and without an online backup nothing goes")
    {
        for (BackupSummary& backup : builder.catalog().backups) {
            backup.is_online = false;
        }
        CHECK(plan_last(builder, policy).hold == WalHold::no_window);
    }
}

TEST_CASE("WAL since the backup before an unreadable one is kept", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FFFFF");
    SECTION("before the ones that count")
    {
        builder.damage("F3");
        CHECK(kept_segments(plan_last(builder, with_archive(1))) == "11-12 21-");
    }
    SECTION("with none before it")
    {
        builder.damage("F1");
        CHECK(plan_last(builder, with_archive(1)).hold == WalHold::unreadable);
    }
    SECTION("also when an older full has got an incremental since")
    {
        builder = CatalogBuilder();
        builder.add("F1", 5);
        builder.add("I1", 4);
        BackupSummary late = builder.at("I1");
        builder.add("F2", 3);
        late.label = make_backup_label(BackupType::incr, builder.label("F1"), kNow - 2 * kDay);
        late.start_wal = builder.segment(41);
        late.stop_wal = builder.segment(42);
        auto& backups = builder.catalog().backups;
        backups.insert(std::ranges::find(backups, builder.label("F2"), &BackupSummary::label),
                       late);
        builder.add("F3", 0.5);
        builder.at("F3").start_wal = builder.segment(51);
        builder.at("F3").stop_wal = builder.segment(52);
        builder.damage("F2");
        CHECK(kept_segments(plan_last(builder, keep_fulls(1))) == "21-");
    }
    SECTION("the newest")
    {
        builder.damage("F5");
        CHECK(kept_segments(plan_last(builder, with_archive(1))) == "11-12 21-22 31-32 41-");
    }
}

TEST_CASE("WAL before a segment can be asked to go", "[retention][wal]")
{
    CatalogBuilder builder;
    const auto before = [&](unsigned segment) { return wal_before(builder.segment(segment)); };
    SECTION("without any backup")
    {
        CHECK(kept_segments(plan_last(builder, RetentionPolicy(), before(15))) == "15-");
        builder.catalog().in_progress = {"20261231-235959F"};
        CHECK(plan_last(builder, RetentionPolicy(), before(15)).hold == WalHold::in_progress);
    }
    SECTION("no more than the rules let go")
    {
        builder.add_all("FFF");
        CHECK(kept_segments(plan_last(builder, with_archive(1), before(15))) == "11-");
        CHECK(kept_segments(plan_last(builder, with_archive(1), before(50))) == "11-12 21-22 31-");
        CHECK(kept_segments(plan_last(builder, with_archive(9), before(50))) == "11-");
        CHECK(kept_segments(plan_last(builder, RetentionPolicy(), before(50))) == "11-");
        CHECK(kept_segments(plan_last(builder, RetentionPolicy(), before(5))) == "5-");
    }
    SECTION("of the current cluster only")
    {
        builder.add("F1", 2);
        builder.upgrade();
        builder.add("F2", 1);
        const auto plans =
            plan_retention(builder.catalog(), with_archive(1), kNow, before(5)).archives;
        CHECK(plans.at(0).hold == WalHold::not_limited);
        CHECK(kept_segments(plans.at(1)) == "5-");
    }
}

TEST_CASE("a stretch of segments is kept when one of them is", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FF");
    const ArchivePlan plan = plan_last(builder, with_archive(1));
    const auto any = [&](unsigned first, unsigned last) {
        return is_any_kept(plan, builder.segment(first), builder.segment(last));
    };
    CHECK_FALSE(any(1, 10));
    CHECK(any(1, 11));
    CHECK(any(12, 20));
    CHECK_FALSE(any(13, 20));
    CHECK(any(13, 21));
}

TEST_CASE("what goes before a segment leaves nothing that looks like a gap",
          "[retention][wal][bug-29]")
{
    CatalogBuilder builder;
    builder.add_all("FDFDF");
    const RetentionPolicy policy = GENERATE(RetentionPolicy(),
                                            with_archive(1, BackupType::full),
                                            with_archive(2, BackupType::diff),
                                            keep_fulls(1),
                                            keep_fulls(2));
    for (unsigned limit = 1; limit <= 70; ++limit) {
        CAPTURE(limit);
        const RetentionPlan plan =
            plan_retention(builder.catalog(), policy, kNow, wal_before(builder.segment(limit)));
        std::vector<std::string> segments;
        for (unsigned number = 1; number <= 70; ++number) {
            if (is_kept(plan.archives.back(), builder.segment(number))) {
                segments.push_back(builder.segment(number));
            } else {
                CHECK(number < limit);
            }
        }
        std::vector<BackupSummary> backups;
        for (BackupSummary backup : builder.catalog().backups) {
            if (std::ranges::find(plan.removals, backup.label) != plan.removals.end()) {
                continue;
            }
            const auto start = postgres::parse_wal_segment(backup.start_wal, 16U << 20U);
            backup.start_lsn.value = (start->number << 24U) + 0x28;
            backup.stop_lsn.value = ((start->number + 1) << 24U) + 0x28;
            backups.push_back(backup);
        }
        const WalCoverage coverage = cover_wal(segments, backups, {}, 16U << 20U);
        CHECK(coverage.gaps.empty());
        for (const BackupWal& backup : coverage.backups) {
            CHECK(backup.missing.empty());
        }
    }
}

TEST_CASE("WAL between two backups goes whole or not at all", "[retention][wal]")
{
    CatalogBuilder builder;
    builder.add_all("FFF");
    const RetentionPolicy policy = with_archive(1, BackupType::full);
    const auto [limit, kept] = GENERATE(table<unsigned, std::string>({{5, "5-"},
                                                                      {11, "11-"},
                                                                      {12, "11-"},
                                                                      {13, "11-"},
                                                                      {20, "11-"},
                                                                      {21, "11-12 21-"},
                                                                      {22, "11-12 21-"},
                                                                      {25, "11-12 21-"},
                                                                      {31, "11-12 21-22 31-"},
                                                                      {50, "11-12 21-22 31-"}}));
    CAPTURE(limit);
    CHECK(kept_segments(plan_last(builder, policy, wal_before(builder.segment(limit)))) == kept);
}
