// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

// expire, alone and after a backup.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

std::string count_of(Cluster& cluster)
{
    return cluster.sql("SELECT count(*) FROM t");
}

void grow(Site& site)
{
    site.cluster().sql("INSERT INTO t SELECT generate_series(1, 1000)");
    site.cluster().sql("SELECT pg_switch_wal()");
}

// A site with these lines in its configuration file.
SiteOptions with_settings(std::vector<std::string> settings)
{
    SiteOptions options;
    options.settings = std::move(settings);
    return options;
}

std::string first_wal(const Site& site)
{
    return site.info().at("archive").at(0).at("min");
}

} // namespace

TEST_CASE("backups beyond the count are expired after a backup, and what is left is restored",
          "[expire][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.cipher = place.open ? "aes-256-gcm" : "", .place = place});
    site.cluster().sql("CREATE TABLE t (i int)");
    const std::vector<std::string> two = {"--repo1-retention-full=2", "--repo1-retention-diff=3"};
    const auto backup = [&](const std::string& type) {
        grow(site);
        std::vector<std::string> arguments = {"--type=" + type};
        arguments.insert(arguments.end(), two.begin(), two.end());
        return site.backup(arguments);
    };
    const std::string full1 = backup("full");
    const std::string diff1 = backup("diff");
    backup("incr");
    const std::string full2 = backup("full");
    const std::string incr2 = backup("incr");
    CHECK(site.labels().size() == 5);
    const std::string before = first_wal(site);

    const std::string full3 = backup("full");

    CHECK(site.labels() == std::vector<std::string>{full2, incr2, full3});
    CHECK(site.objects("/" + full1 + "/").empty());
    CHECK(site.objects("/history/").size() == 3);
    CHECK(first_wal(site) > before);
    const auto backups = site.info().at("backup");
    CHECK(first_wal(site) == backups.at(0).at("archive").at("start"));
    for (const std::string& path : site.objects("archive/main/15-1/00000001")) {
        CAPTURE(path);
        CHECK(path.substr(path.rfind('/') + 1) >= first_wal(site));
    }

    const std::string rows = count_of(site.cluster());
    grow(site);
    site.cluster().archive_current_segment();
    for (const std::string& label : {full2, incr2, full3}) {
        CAPTURE(label);
        Cluster restored = site.restore({"--set=" + label, "--type=immediate"});
        restored.start();
        CHECK(std::stoi(count_of(restored)) > 0);
        restored.stop();
    }
    Cluster newest = site.restore({});
    newest.start();
    newest.wait_until_promoted();
    CHECK(std::stoi(count_of(newest)) == std::stoi(rows) + 1000);
}

TEST_CASE("a dry run changes nothing, and the real run does what it said", "[expire][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    site.cluster().sql("CREATE TABLE t (i int)");
    for (int i = 0; i < 3; ++i) {
        grow(site);
        site.backup();
    }
    const auto labels = site.labels();
    const auto before = site.objects("");
    const auto before_archive = site.objects("archive/");

    const auto dry =
        site.must({"expire", "--repo1-retention-full=1", "--dry-run", "--log-level-console=info"});

    CHECK(site.objects("") == before);
    CHECK_THAT(dry.out,
               Contains("[DRY-RUN] repo1: expire full backup " + labels[0]) &&
                   Contains("[DRY-RUN] repo1: expire full backup " + labels[1]) &&
                   Contains("remove archive, start = "));

    site.must({"expire", "--repo1-retention-full=1"});
    CHECK(site.labels() == std::vector<std::string>{labels[2]});
    for (const std::string& path : site.objects("")) {
        CAPTURE(path);
        CHECK((path.find("/history/") != path.npos ||
               (path.find(labels[0]) == path.npos && path.find(labels[1]) == path.npos)));
    }
    CHECK(site.objects("archive/").size() < before_archive.size());
    Cluster restored = site.restore({"--type=immediate", "--target-action=promote"});
    restored.start();
    restored.wait_until_promoted();
    CHECK(count_of(restored) == "3000");
}

TEST_CASE("pins, lives and schedules decide about their backups", "[expire][s3][annotate]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const std::string pinned = site.backup();
    site.must({"annotate", "--set=" + pinned, "--pin"});
    const std::string lived = site.backup({"--type=full", "--retain=1d"});
    const std::string daily = site.backup({"--type=full", "--schedule=daily"});
    const std::string short_lived = site.backup({"--type=full", "--retain=1s"});
    const std::string classic = site.backup();
    const std::vector<std::string> rules = {
        "expire", "--repo1-retention-full=1", "--repo1-retention-schedule=daily=1d"};
    const std::string newest = site.backup();
    std::this_thread::sleep_for(std::chrono::seconds(2)); // the short life is over

    site.must(rules);
    CHECK(site.labels() == std::vector<std::string>{pinned, lived, daily, newest});

    site.must({"annotate", "--set=" + pinned, "--unpin"});
    site.must({"annotate", "--set=" + lived, "--retain=0"});
    site.must(rules);
    CHECK(site.labels() == std::vector<std::string>{daily, newest});
}

TEST_CASE("a set is expired on request", "[expire]")
{
    Site site;
    const std::string full = site.backup();
    const std::string diff = site.backup({"--type=diff"});
    const std::string incr = site.backup({"--type=incr"});
    const auto refused = site.run({"expire", "--set=" + full});
    CHECK(refused.status == 104);
    CHECK_THAT(refused.text(), Contains("[BackupSetInvalidError]") && Contains("another full"));
    CHECK(site.run({"expire", "--set=bogus"}).status == 32);
    CHECK(site.run({"expire", "--set=" + full, "--oldest"}).status == 31);
    CHECK(site.run({"expire", "--archive-expire-before=12"}).status == 32);
    const auto missing = site.must({"expire", "--set=20200101-000000F"});
    CHECK_THAT(missing.text(), Contains("backup 20200101-000000F does not exist"));
    site.must({"expire", "--set=" + diff});
    CHECK(site.labels() == std::vector<std::string>{full});
    const std::string second = site.backup();
    site.must({"expire", "--oldest"});
    CHECK(site.labels() == std::vector<std::string>{second});
}

TEST_CASE("a backup is good though the expire after it fails", "[expire]")
{
    Site site(with_settings({"repo2-retention-full=1"}));
    const std::string other = site.path("other");
    const auto result =
        site.run({"backup", "--type=full", "--repo2-path=" + other, "--repo2-retention-full=1"});
    CHECK(result.status == 104);
    CHECK_THAT(result.text(), Contains("is complete and good") && Contains("repo2: "));
    CHECK(site.labels().size() == 1);
    SECTION("and none begins with rules that cannot be understood")
    {
        CHECK(site.run({"backup", "--repo1-retention-keep=nightly=7"}).status == 32);
        CHECK(site.run({"backup", "--schedule=a b"}).status == 32);
        CHECK(site.labels().size() == 1);
    }
    SECTION("nor is expired where that is not wanted")
    {
        site.must({"backup", "--type=full", "--no-expire-auto", "--repo1-retention-full=1"});
        CHECK(site.labels().size() == 2);
    }
}

TEST_CASE("a stop file keeps expire from running", "[expire]")
{
    Site site;
    site.backup();
    site.must({"stop"});
    CHECK(site.run({"expire"}).status == 62);
    site.must({"start"});
    site.must({"expire"});
}
