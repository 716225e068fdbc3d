// SPDX-License-Identifier: PostgreSQL
#include "command/retention_policy.hpp"
#include "support/matchers.hpp"

#include "pgstrata/util/error.hpp"

using namespace pgstrata;
using namespace pgstrata::command;
using pgstrata::test::HasCode;

namespace {

constexpr std::uint64_t kDay = 86400;

config::Config load(std::vector<std::string> options, const std::string& command = "expire")
{
    config::Environment environment;
    environment.arguments = {command, "--stanza=main", "--no-config"};
    environment.arguments.insert(environment.arguments.end(), options.begin(), options.end());
    return config::load_config(environment);
}

} // namespace

TEST_CASE("the times of schedules are read", "[command][retention]")
{
    using Schedules = std::map<std::string, std::uint64_t>;
    const auto [text, schedules] = GENERATE(table<std::string, Schedules>({
        {"daily=7d", {{"daily", 7 * kDay}}},
        {"daily=7d,weekly=90d,monthly=1y",
         {{"daily", 7 * kDay}, {"weekly", 90 * kDay}, {"monthly", 365 * kDay}}},
        {"a_B-9=1s,b=1m,c=1h,d=1w", {{"a_B-9", 1}, {"b", 60}, {"c", 3600}, {"d", 7 * kDay}}},
    }));
    CHECK(parse_schedules(text, "repo1-retention-schedule") == schedules);
}

TEST_CASE("schedules that cannot be understood are refused", "[command][retention]")
{
    const std::string text = GENERATE("daily",
                                      "daily=",
                                      "=7d",
                                      "daily=7",
                                      "daily=d",
                                      "daily=0d",
                                      "daily=-1d",
                                      "daily=7x",
                                      "daily=7d,",
                                      ",daily=7d",
                                      "daily=7d,daily=8d",
                                      "daily=99999999999999999999d",
                                      "daily=10000000d",
                                      "da ily=7d",
                                      "daily=7d weekly=1w");
    CAPTURE(text);
    CHECK_THROWS_MATCHES(parse_schedules(text, "repo1-retention-schedule"),
                         Error,
                         HasCode(ErrorCode::option_invalid_value));
}

TEST_CASE("the counts of periods are read", "[command][retention]")
{
    const auto counts = parse_keep_counts("yearly=5,monthly=4,weekly=3,daily=2,hourly=1", "o");
    CHECK(counts.hourly == 1);
    CHECK(counts.daily == 2);
    CHECK(counts.weekly == 3);
    CHECK(counts.monthly == 4);
    CHECK(counts.yearly == 5);
    CHECK(parse_keep_counts("daily=0,weekly=1", "o").daily == 0);
}

TEST_CASE("counts of periods that cannot be understood are refused", "[command][retention]")
{
    const std::string text =
        GENERATE("daily", "daily=7d", "nightly=7", "daily=1,daily=2", "daily=0", "daily=-1", "7");
    CAPTURE(text);
    try {
        parse_keep_counts(text, "repo3-retention-keep");
        FAIL("it was taken");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::option_invalid_value);
        CHECK_THAT(error.what(),
                   Catch::Contains("'" + text + "'") && Catch::Contains("repo3-retention-keep"));
        CHECK_THAT(error.hint(), Catch::Contains("daily=7"));
    }
}

TEST_CASE("the rules of a repository are those of its options", "[command][retention]")
{
    const config::Config config = load({"--repo1-path=/a",
                                        "--repo1-retention-full=3",
                                        "--repo1-retention-full-type=time",
                                        "--repo1-retention-diff=4",
                                        "--repo1-retention-archive=5",
                                        "--repo1-retention-archive-type=diff",
                                        "--repo1-retention-history=6",
                                        "--repo2-path=/b",
                                        "--repo2-retention-keep=daily=7",
                                        "--repo2-retention-schedule=daily=7d",
                                        "--repo2-retention-manual=8",
                                        "--repo2-retention-pitr=1500ms"});
    const repository::RetentionPolicy first = retention_policy(config, 1);
    CHECK(first.full == 3U);
    CHECK(first.full_type == repository::FullRetention::days);
    CHECK(first.diff == 4U);
    CHECK(first.archive == 5U);
    CHECK(first.archive_type == repository::BackupType::diff);
    CHECK(first.history == 6U);
    CHECK_FALSE(first.keep);
    CHECK(first.schedules.empty());
    CHECK_FALSE(first.manual);
    CHECK_FALSE(first.pitr);
    const repository::RetentionPolicy second = retention_policy(config, 2);
    CHECK_FALSE(second.full);
    CHECK(second.full_type == repository::FullRetention::count);
    CHECK_FALSE(second.archive);
    CHECK(second.keep.value().daily == 7);
    CHECK(second.schedules.at("daily") == 7 * kDay);
    CHECK(second.manual == 8U);
    CHECK(second.pitr == 2U);
}

TEST_CASE("info knows our own rules only", "[command][retention]")
{
    const auto policy = retention_policy(load({"--repo1-retention-manual=8"}, "info"), 1);
    CHECK(policy.manual == 8U);
    CHECK_FALSE(policy.full);
}
