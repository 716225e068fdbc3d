// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/retention_fixture.hpp"

#include "pgstrata/util/error.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

RetentionPolicy by_count(std::optional<std::uint64_t> full, std::optional<std::uint64_t> diff = {})
{
    RetentionPolicy policy;
    policy.full = full;
    policy.diff = diff;
    return policy;
}

RetentionPolicy by_days(std::uint64_t days)
{
    RetentionPolicy policy = by_count(days);
    policy.full_type = FullRetention::days;
    return policy;
}

RetentionPolicy with_schedules(std::map<std::string, std::uint64_t> schedules)
{
    RetentionPolicy policy;
    policy.schedules = std::move(schedules);
    return policy;
}

} // namespace

TEST_CASE("fulls beyond the count go with all that builds on them", "[retention]")
{
    struct Case {
        std::string backups;
        std::uint64_t full;
        std::string left;
    };
    const auto [backups, full, left] = GENERATE(Case{"", 1, ""},
                                                Case{"F", 1, "F1"},
                                                Case{"FDI", 1, "F1 D1 I1"},
                                                Case{"FDIFI", 1, "F2 I2"},
                                                Case{"FDIFI", 2, "F1 D1 I1 F2 I2"},
                                                Case{"FFFF", 2, "F3 F4"},
                                                Case{"FFFF", 9999999, "F1 F2 F3 F4"});
    CatalogBuilder builder;
    builder.add_all(backups);
    CHECK(builder.left(by_count(full)) == left);
}

TEST_CASE("what cannot be restored does not count, and goes when a newer full goes", "[retention]")
{
    struct Case {
        std::string backups;
        std::string flawed;
        std::string left;
    };
    const auto [backups, flawed, left] = GENERATE(Case{"F", "F1", "F1"},
                                                  Case{"FF", "F2", "F1 F2"},
                                                  Case{"FFF", "F3", "F2 F3"},
                                                  Case{"FFF", "F2", "F2 F3"},
                                                  Case{"FFF", "F1", "F3"},
                                                  Case{"FDIFI", "F2", "F1 D1 I1 F2 I2"},
                                                  Case{"FDIFI", "I2", "F2 I2"},
                                                  Case{"FIFF", "F1", "F3"},
                                                  Case{"FIFF", "I1", "F3"});
    CatalogBuilder builder;
    builder.add_all(backups);
    builder.flaw(flawed);
    CHECK(builder.left(by_count(1)) == left);
}

TEST_CASE("no rule takes what cannot be restored for what it keeps", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FDFD");
    builder.flaw("F2");
    builder.flaw("D2");
    SECTION("by days")
    {
        CHECK(builder.left(by_days(1)) == "F1 D1 F2 D2");
    }
    SECTION("of diffs")
    {
        CHECK(builder.left(by_count(9, 1)) == "F1 D1 F2 D2");
    }
    SECTION("by periods")
    {
        RetentionPolicy policy;
        policy.keep = KeepCounts{.daily = 1};
        CHECK(builder.left(policy) == "F1 D1 F2 D2");
    }
    SECTION("of moments")
    {
        RetentionPolicy policy = by_count(1);
        policy.pitr = 1;
        CHECK(builder.left(policy) == "F1 D1 F2 D2");
    }
    SECTION("the oldest on request")
    {
        CHECK(builder.left(by_count(1), {.is_oldest = true}) == "F1 D1 F2 D2");
    }
    SECTION("the last full that can be restored, on request")
    {
        CHECK_THROWS_AS(builder.left({}, {.set = builder.label("F1")}), Error);
        CHECK(builder.left({}, {.set = builder.label("F2")}) == "F1 D1");
    }
}

TEST_CASE("fulls kept by days: one older than those always stays", "[retention]")
{
    struct Case {
        std::string backups; // the last a day ago, the one before two days ago...
        std::uint64_t days;
        std::string left;
    };
    const auto [backups, days, left] = GENERATE(Case{"", 1, ""},
                                                Case{"FFFF", 2, "F2 F3 F4"},
                                                Case{"FFFF", 3, "F1 F2 F3 F4"},
                                                Case{"FFFF", 9, "F1 F2 F3 F4"},
                                                Case{"FDFDF", 3, "F1 D1 F2 D2 F3"},
                                                Case{"FDFDF", 2, "F2 D2 F3"},
                                                Case{"FDII", 1, "F1 D1 I1 I2"});
    CatalogBuilder builder;
    builder.add_all(backups);
    CHECK(builder.left(by_days(days)) == left);
}

TEST_CASE("fulls are counted as diffs, and a diff goes with what builds on it", "[retention]")
{
    struct Case {
        std::string backups;
        std::optional<std::uint64_t> full;
        std::uint64_t diff;
        std::string left;
    };
    const auto [backups, full, diff, left] = GENERATE(Case{"FDDF", {}, 2, "F1 D2 F2"},
                                                      Case{"FDDF", {}, 1, "F1 F2"},
                                                      Case{"FDIDI", {}, 1, "F1 D2 I2"},
                                                      Case{"FDID", {}, 3, "F1 D1 I1 D2"},
                                                      Case{"FIDIDI", {}, 2, "F1 I1 D1 I2 D2 I3"},
                                                      Case{"FIDIDI", {}, 1, "F1 I1 D2 I3"},
                                                      Case{"FDDFDD", 1, 2, "F2 D3 D4"},
                                                      Case{"FDDFDD", 1, 1, "F2 D4"});
    CatalogBuilder builder;
    builder.add_all(backups);
    CHECK(builder.left(by_count(full, diff)) == left);
}

TEST_CASE("without rules nothing goes", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FDIFDIF");
    const RetentionPlan plan = plan_retention(builder.catalog(), {}, kNow);
    CHECK(plan.removals.empty());
    CHECK(plan.archives.at(0).hold == WalHold::not_set);
    CHECK_FALSE(plan.history_before);
}

TEST_CASE("the count goes over all generations of the cluster, by age", "[retention][bug-29]")
{
    CatalogBuilder builder;
    builder.add("F1", 9);
    builder.switch_timeline();
    builder.switch_timeline();
    builder.add("F2", 8);
    builder.upgrade();
    builder.add("F3", 1);
    CHECK(builder.left(by_count(2)) == "F2 F3");
    CHECK(builder.left(by_count(1)) == "F3");
}

TEST_CASE("dependents go before what they build on", "[retention][bug-31]")
{
    CatalogBuilder builder;
    builder.add_all("FDIFIF");
    const RetentionPlan plan = plan_retention(builder.catalog(), by_count(1), kNow);
    CHECK(plan.removals == std::vector<std::string>{builder.label("I2"),
                                                    builder.label("F2"),
                                                    builder.label("I1"),
                                                    builder.label("D1"),
                                                    builder.label("F1")});
    REQUIRE(plan.expired.size() == 2);
    CHECK(plan.expired[0].reason == "full");
    CHECK(plan.expired[0].labels ==
          std::vector<std::string>{builder.label("F1"), builder.label("D1"), builder.label("I1")});
}

TEST_CASE("a pinned backup stays with what it builds on, and with nothing else",
          "[retention][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FIIIDF");
    builder.at("I2").is_pinned = true;
    CHECK(builder.left(by_count(1)) == "F1 I1 I2 F2");
    builder.at("I2").is_pinned = false;
    CHECK(builder.left(by_count(1)) == "F2");
}

TEST_CASE("what has a pin or a life is not counted by the classic rules", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FFFF");
    SECTION("a pin")
    {
        builder.at("F4").is_pinned = true;
    }
    SECTION("a life of its own")
    {
        builder.at("F4").retain = 9 * kDay;
    }
    SECTION("a schedule")
    {
        builder.at("F4").schedule = "daily";
    }
    RetentionPolicy policy = by_count(2);
    policy.schedules = {{"daily", 9 * kDay}};
    CHECK(builder.left(policy) == "F2 F3 F4");
}

TEST_CASE("a backup with a life of its own goes when that ends", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FFF");
    const UnixSeconds age = kNow - builder.at("F1").stop_time;
    const auto [life, left] = GENERATE_COPY(table<UnixSeconds, std::string>({
        {age - 1, "F2 F3"},
        {age, "F2 F3"}, // at the second itself
        {age + 1, "F1 F2 F3"},
        {std::numeric_limits<UnixSeconds>::max(), "F1 F2 F3"},
    }));
    builder.at("F1").retain = static_cast<std::uint64_t>(life);
    CHECK(builder.left(RetentionPolicy()) == left);
}

TEST_CASE("schedules decide about their backups alone", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FFFFF");
    builder.at("F1").schedule = "weekly";
    builder.at("F2").schedule = "daily";
    builder.at("F3").schedule = "unknown";
    builder.at("F4").schedule = "daily";
    const auto [schedules, full, left] = GENERATE(
        table<std::map<std::string, std::uint64_t>, std::optional<std::uint64_t>, std::string>({
            {{}, {}, "F1 F2 F3 F4 F5"},
            {{{"daily", 3 * kDay}}, {}, "F1 F3 F4 F5"},
            {{{"daily", 9 * kDay}, {"weekly", 4 * kDay}}, {}, "F2 F3 F4 F5"},
            // F3 and F5 are counted, and F1 where its schedule is not known.
            {{{"daily", 3 * kDay}}, 1, "F4 F5"},
            {{{"daily", 3 * kDay}}, 2, "F3 F4 F5"},
        }));
    RetentionPolicy policy = with_schedules(schedules);
    policy.full = full;
    CHECK(builder.left(policy) == left);
}

TEST_CASE("a full whose life has ended stays for those that outlive it", "[retention][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FIIF");
    builder.at("F1").retain = 1;
    SECTION("a diff or incr without a life has none of its own")
    {
        CHECK(builder.left(RetentionPolicy()) == "F2");
    }
    SECTION("one with a longer life")
    {
        builder.at("I1").retain = 30 * kDay;
        CHECK(builder.left(RetentionPolicy()) == "F1 I1 F2");
    }
    SECTION("but one in the middle of a living chain does not end that")
    {
        builder.at("F1").retain = 0;
        builder.at("I1").retain = 1;
        CHECK(builder.left(RetentionPolicy()) == "F1 I1 I2 F2");
    }
}

TEST_CASE("the newest backup that can be restored is not removed by a rule", "[retention][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FFI");
    for (BackupSummary& backup : builder.catalog().backups) {
        backup.retain = 1;
    }
    CHECK(builder.left(RetentionPolicy()) == "F2 I1");
    SECTION("one that lacks something does not count")
    {
        builder.at("I1").references.emplace_back("20261101-000000F");
        CHECK(builder.left(RetentionPolicy()) == "F2");
    }
}

TEST_CASE("of the newest hours, days, weeks, months and years one backup each is kept",
          "[retention]")
{
    CatalogBuilder builder;
    // kNow is the first moment of Friday 2027-01-01.
    builder.add("F1", 400);  // 2025-11-27
    builder.add("F2", 200);  // 2026-06-15
    builder.add("F3", 12);   // Sunday 2026-12-20
    builder.add("F4", 11);   // Monday 2026-12-21
    builder.add("F5", 4);    // Monday 2026-12-28
    builder.add("F6", 1.0);  // 2026-12-31 00:00, stops 01:00
    builder.add("F7", 0.95); // 2026-12-31 01:12, stops 02:12
    builder.add("F8", 0.94); // 2026-12-31 01:26, stops 02:26
    const auto [counts, left] = GENERATE(table<KeepCounts, std::string>({
        {{1, 0, 0, 0, 0}, "F8"},
        {{2, 0, 0, 0, 0}, "F6 F8"},
        {{3, 0, 0, 0, 0}, "F5 F6 F8"}, // hours without a backup do not count
        {{0, 2, 0, 0, 0}, "F5 F8"},
        {{0, 0, 2, 0, 0}, "F4 F8"}, // F5 and F8 are of one week, F3 and F4 are not
        {{0, 0, 3, 0, 0}, "F3 F4 F8"},
        {{0, 0, 0, 2, 0}, "F2 F8"},
        {{0, 0, 0, 0, 2}, "F1 F8"},
        {{0, 0, 0, 0, 9}, "F1 F8"},
        {{0, 2, 0, 3, 0}, "F1 F2 F5 F8"},
        {{0, 0, 0, 0, 0}, "F8"},
    }));
    RetentionPolicy policy;
    policy.keep = counts;
    CHECK(builder.left(policy) == left);
}

TEST_CASE("a weekly backup at the turn of the year belongs to its ISO week", "[retention]")
{
    CatalogBuilder builder;
    builder.add("F1", 4.5);  // Sunday 2026-12-27
    builder.add("F2", 3);    // Tuesday 2026-12-29, week 53
    builder.add("F3", -1);   // Saturday 2027-01-02, week 53
    builder.add("F4", -3.1); // Monday 2027-01-04, week 1
    RetentionPolicy policy;
    policy.keep = KeepCounts{.weekly = 2};
    CHECK(builder.left(policy) == "F3 F4");
}

TEST_CASE("what is kept by periods is kept with what it builds on", "[retention][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FIIFII");
    RetentionPolicy policy;
    policy.keep = KeepCounts{.daily = 1};
    CHECK(builder.left(policy) == "F2 I3 I4");
    SECTION("beside the count of fulls, if that is set")
    {
        policy.full = 2;
        CHECK(builder.left(policy) == "F1 I1 I2 F2 I3 I4");
    }
    SECTION("not beside the count of diffs alone")
    {
        policy.diff = 9;
        CHECK(builder.left(policy) == "F2 I3 I4");
    }
}

TEST_CASE("of backups without a schedule only the newest are kept", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FFFFF");
    builder.at("F2").schedule = "daily";
    builder.at("F4").schedule = "unknown";
    RetentionPolicy policy = with_schedules({{"daily", 30 * kDay}});
    policy.manual = 1;
    CHECK(builder.left(policy) == "F2 F4 F5");
    policy.manual = 2;
    CHECK(builder.left(policy) == "F2 F3 F4 F5");
    SECTION("beside what another rule keeps")
    {
        policy.manual = 1;
        policy.full = 3;
        CHECK(builder.left(policy) == "F2 F3 F4 F5");
        policy.full.reset();
        policy.keep = KeepCounts{.daily = 3};
        CHECK(builder.left(policy) == "F2 F3 F4 F5");
    }
}

TEST_CASE("the backup that a window begins with is kept", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FIFIF");
    RetentionPolicy policy = by_count(1);
    const auto [days, left] = GENERATE(table<std::uint64_t, std::string>({
        {0, "F3"},
        {1, "F2 I2 F3"},
        {2, "F2 F3"},
        {3, "F1 I1 F3"},
        {4, "F1 F3"},
        {9, "F1 F3"}, // none is that old: the oldest
    }));
    // Backups end an hour after the day that they began on.
    policy.pitr = days * kDay;
    CHECK(builder.left(policy) == left);
}

TEST_CASE("what a backup that cannot be read may need is kept", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FIIFIFF");
    builder.damage(GENERATE("I1", "F1", "I2"));
    const std::string left = builder.left(by_count(1));
    CHECK(left.ends_with(" F4"));
    CHECK_THAT(left, !Catch::Contains("F2") && !Catch::Contains("I3") && !Catch::Contains("F3"));
    CHECK(left.size() == 8);
}

TEST_CASE("what a backup in progress may build on is kept", "[retention][bug-28]")
{
    CatalogBuilder builder;
    builder.add_all("FIFF");
    builder.catalog().in_progress = {builder.label("F1") + "_20261231-235959I"};
    CHECK(builder.left(by_count(1)) == "F1 I1 F3");
    SECTION("a full builds on nothing")
    {
        builder.catalog().in_progress = {"20261231-235959F"};
        CHECK(builder.left(by_count(1)) == "F3");
    }
}

TEST_CASE("a backup that builds on nothing any more goes once there is a newer one", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FIF");
    builder.catalog().backups.erase(builder.catalog().backups.begin());
    SECTION("with a newer one")
    {
        CHECK(builder.left(RetentionPolicy()) == "F2");
    }
    SECTION("without")
    {
        builder.catalog().backups.pop_back();
        const RetentionPlan plan = plan_retention(builder.catalog(), {}, kNow);
        CHECK(builder.left(plan) == "I1");
        CHECK(plan.warnings.size() == 1);
    }
}

TEST_CASE("it is told what decides about a backup", "[retention]")
{
    RetentionPolicy policy = with_schedules({{"daily", 60}});
    BackupSummary backup;
    backup.stop_time = 1000;
    const auto name = [&] { return classify_retention(policy, backup).name; };
    const auto expires = [&] { return classify_retention(policy, backup).expires; };
    CHECK(name() == "classic");
    CHECK_FALSE(expires());
    policy.keep = KeepCounts{.daily = 1};
    CHECK(name() == "keep");
    policy.manual = 1;
    CHECK(name() == "manual");
    backup.schedule = "hourly";
    CHECK(name() == "keep");
    backup.schedule = "daily";
    CHECK(name() == "schedule daily");
    CHECK(expires() == 1060);
    backup.retain = 5;
    CHECK(name() == "life");
    CHECK(expires() == 1005);
    backup.is_pinned = true;
    CHECK(name() == "pinned");
    CHECK_FALSE(expires());
}

TEST_CASE("records of removed backups go after some days", "[retention]")
{
    RetentionPolicy policy;
    policy.history = GENERATE(0U, 30U);
    const RetentionPlan plan = plan_retention({}, policy, kNow);
    CHECK(plan.history_before == kNow - static_cast<UnixSeconds>(*policy.history) * kDay);
}
