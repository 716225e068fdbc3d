// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/repository/retention_fixture.hpp"

#include <catch2/catch.hpp>

// What expire is told to remove, beside what the rules say.

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

RetentionRequest set_request(const std::string& label)
{
    RetentionRequest request;
    request.set = label;
    return request;
}

} // namespace

TEST_CASE("a set is removed with its dependents and nothing else", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FDIDIF");
    const auto [set, left] = GENERATE(table<std::string, std::string>({
        {"F1", "F2"},
        {"D1", "F1 D2 I2 F2"},
        {"I1", "F1 D1 D2 I2 F2"},
        {"I2", "F1 D1 I1 D2 F2"},
    }));
    const RetentionPlan plan =
        plan_retention(builder.catalog(), keep_fulls(1), kNow, set_request(builder.label(set)));
    CHECK(builder.left(plan) == left);
    CHECK(plan.has_set);
    CHECK_FALSE(plan.is_newest_gone);
}

TEST_CASE("a set that is not there leaves everything", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FFF");
    const RetentionPlan plan =
        plan_retention(builder.catalog(), keep_fulls(1), kNow, set_request("20200101-000000F"));
    CHECK(plan.removals.empty());
    CHECK_FALSE(plan.has_set);
}

TEST_CASE("the last full of the cluster is not removed on request", "[retention]")
{
    CatalogBuilder builder;
    builder.add("F1", 3);
    SECTION("the only one") {}
    SECTION("the only one of this generation")
    {
        builder.upgrade();
        builder.add("F2", 2);
    }
    const std::string last = builder.catalog().backups.back().label;
    CHECK_THROWS_MATCHES(plan_retention(builder.catalog(), {}, kNow, set_request(last)),
                         Error,
                         HasCode(ErrorCode::backup_set_invalid));
    builder.add("F3", 1);
    const RetentionPlan plan =
        plan_retention(builder.catalog(), {}, kNow, set_request(builder.label("F3")));
    CHECK(plan.removals == std::vector{builder.label("F3")});
    CHECK(plan.is_newest_gone);
}

TEST_CASE("a set with a pin or a backup in progress is not removed", "[retention][bug-28][bug-34]")
{
    CatalogBuilder builder;
    builder.add_all("FIIF");
    const auto request = set_request(builder.label("I1"));
    ErrorCode code = ErrorCode::backup_set_invalid;
    SECTION("of its own")
    {
        builder.at("I1").is_pinned = true;
    }
    SECTION("of a dependent")
    {
        builder.at("I2").is_pinned = true;
    }
    SECTION("in progress")
    {
        builder.catalog().in_progress = {builder.label("F1") + "_20261231-235959I"};
        code = ErrorCode::lock_acquire;
    }
    SECTION("unreadable")
    {
        builder.damage("I2");
    }
    CHECK_THROWS_MATCHES(
        plan_retention(builder.catalog(), {}, kNow, request), Error, HasCode(code));
}

TEST_CASE("a set that cannot be read can be removed", "[retention]")
{
    CatalogBuilder builder;
    builder.add_all("FDIDF");
    builder.damage("D1");
    const RetentionPlan plan =
        plan_retention(builder.catalog(), {}, kNow, set_request(builder.label("D1")));
    CHECK(plan.removals == std::vector{builder.label("I1"), builder.label("D1")});
}

TEST_CASE("the oldest full can be asked to go", "[retention]")
{
    struct Case {
        std::string backups;
        std::string left;
        bool warns;
    };
    const auto [backups, left, warns] = GENERATE(Case{"", "", true},
                                                 Case{"FI", "F1 I1", true},
                                                 Case{"FIF", "F2", false},
                                                 Case{"FIFDF", "F2 D1 F3", false});
    CatalogBuilder builder;
    builder.add_all(backups);
    RetentionRequest request;
    request.is_oldest = true;
    RetentionPolicy policy = keep_fulls(99);
    policy.full_type = FullRetention::days;
    const RetentionPlan plan = plan_retention(builder.catalog(), policy, kNow, request);
    CHECK(builder.left(plan) == left);
    CHECK(plan.warnings.empty() != warns);
}
