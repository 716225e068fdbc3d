// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <thread>

// What info says can be restored, held against what was committed and what restore does.
using namespace pgstrata::test;
using Catch::Contains;

namespace {

using nlohmann::json;

SiteOptions with_commit_times()
{
    SiteOptions options;
    options.cluster.settings = {"track_commit_timestamp = on"};
    return options;
}

// Commits a row, and returns when, as the server has noted it.
std::string commit(Site& site, int row)
{
    site.cluster().sql("INSERT INTO t VALUES (" + std::to_string(row) + ")");
    return site.cluster().sql("SELECT pg_xact_commit_timestamp(xmin) FROM t WHERE i = " +
                              std::to_string(row));
}

std::int64_t epoch(Site& site, const std::string& time)
{
    return std::stoll(
        site.cluster().sql("SELECT floor(extract(epoch FROM '" + time + "'::timestamptz))"));
}

void next_second()
{
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
}

json window(const Site& site)
{
    return site.info().at("window").at(0);
}

json backup_info(const Site& site, std::size_t index)
{
    return site.info().at("backup").at(index);
}

} // namespace

TEST_CASE("the window begins with a backup and ends with the last commit that is archived",
          "[window]")
{
    Site site(with_commit_times());
    site.cluster().sql("CREATE TABLE t (i int)");
    site.backup();
    next_second();
    const auto archived = commit(site, 1);
    site.cluster().archive_current_segment();
    next_second();
    commit(site, 2);

    const auto shown = window(site);

    CHECK(shown.at("start") == backup_info(site, 0).at("timestamp").at("stop"));
    CHECK(shown.at("stop") == epoch(site, archived));
    CHECK(shown.at("gap").empty());
    CHECK_THAT(site.must({"info"}).out, Contains("\n        window: "));

    // Segments in which nothing was committed do not hide it.
    for (int i = 0; i < 5; ++i) {
        site.cluster().sql("SELECT pg_create_restore_point('x')");
        site.cluster().archive_current_segment();
    }
    CHECK(window(site).at("stop") >= epoch(site, archived));
}

TEST_CASE("a missing segment is a gap that info shows and restore respects", "[window][bug-20]")
{
    Site site(with_commit_times());
    site.cluster().sql("CREATE TABLE t (i int)");
    site.backup();
    next_second();
    commit(site, 1);
    next_second();
    const auto last_before = commit(site, 2);
    site.cluster().archive_current_segment();
    next_second();
    const auto lost = commit(site, 3);
    const auto segment = site.cluster().archive_current_segment();
    next_second();
    commit(site, 4);
    site.cluster().archive_current_segment();
    const auto objects = site.objects("/" + segment + "-");
    REQUIRE(objects.size() == 1);
    std::filesystem::remove(site.repository() + "/" + objects[0]);

    const auto open = window(site);
    CHECK(open.at("stop") == epoch(site, last_before));
    CHECK(open.at("gap") == json::parse(R"([{"after":)" + open.at("stop").dump() +
                                        R"(,"before":null,"wal":[{"max":")" + segment +
                                        R"(","min":")" + segment + R"("}]}])"));
    CHECK_THAT(site.must({"info"}).out,
               Contains(" / next backup (wal missing: " + segment + "/" + segment + ")\n"));

    site.backup();
    const auto closed = window(site);
    CHECK(closed.at("stretch").size() == 2);
    CHECK(closed.at("gap").at(0).at("after") == epoch(site, last_before));
    CHECK(closed.at("gap").at(0).at("before") == backup_info(site, 1).at("timestamp").at("stop"));

    const auto into_gap = site.run({"restore",
                                    "--type=time",
                                    "--target=" + lost,
                                    "--pg1-path=" + site.new_path("gap"),
                                    "--target-action=promote"});
    CHECK(into_gap.status == 75);
    CHECK_THAT(into_gap.text(), Contains("cannot be reached"));
    auto restored =
        site.restore({"--type=time",
                      "--target=" + site.cluster().sql("SELECT '" + last_before +
                                                       "'::timestamptz - interval '500 ms'"),
                      "--target-action=promote"});
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT string_agg(i::text, ',') FROM t") == "1");
}

TEST_CASE("info shows backups by the time at which they ended", "[window][info]")
{
    Site site;
    const auto first = site.backup();
    next_second();
    const auto second = site.backup({"--type=incr"});
    const auto at = [&](std::size_t index) {
        return site.cluster().sql("SELECT to_timestamp(" +
                                  backup_info(site, index).at("timestamp").at("stop").dump() + ")");
    };
    const std::string first_stop = at(0);
    const std::string second_stop = at(1);
    const auto shown = [&](const std::vector<std::string>& arguments) {
        std::vector<std::string> labels;
        const json stanza = site.info(arguments);
        for (const json& backup : stanza.at("backup")) {
            labels.push_back(backup.at("label"));
        }
        return labels;
    };
    using Labels = std::vector<std::string>;

    CHECK(shown({"--from=" + first_stop}) == Labels{first, second});
    CHECK(shown({"--from=" + second_stop}) == Labels{second});
    CHECK(shown({"--to=" + first_stop}) == Labels{first});
    CHECK(shown({"--from=" + first_stop, "--to=" + second_stop, "--type=incr"}) == Labels{second});
    CHECK(shown({"--to=" + first_stop, "--type=incr"}).empty());
    CHECK(shown({"--from=" + first_stop, "--set=" + second}) == Labels{second});
    CHECK(site.info({"--to=" + first_stop, "--set=" + second}).at("status").at("code") == 6);
    // The window is of all backups.
    CHECK(site.info({"--from=" + second_stop}).at("window") == site.info().at("window"));

    CHECK(site.run({"info", "--from=yesterday"}).status == 29);
    CHECK(site.run({"info", "--to=2026-02-30 00:00:00"}).status == 29);
    CHECK(site.run({"info", "--from=" + second_stop, "--to=" + first_stop}).status == 32);
}

TEST_CASE("a backup that died is listed as failed, and shows what it can be resumed from",
          "[window][info]")
{
    Site site;
    const auto label = site.backup({"--type=full", "--schedule=daily"});
    site.must({"annotate", "--set=" + label, "--pin"});
    const std::string dead = "20991231-235959F";
    std::filesystem::create_directories(site.repository() + "/backup/main/" + dead + "/journal");
    write_file(site.repository() + "/backup/main/" + dead + "/journal/000000", "x");

    const auto stanza = site.info();

    CHECK(stanza.at("status").at("code") == 0);
    CHECK(stanza.at("backup").size() == 1);
    REQUIRE(stanza.at("incomplete").size() == 1);
    CHECK(stanza.at("incomplete").at(0).at("label") == dead);
    CHECK(stanza.at("incomplete").at(0).at("state") == "failed");
    CHECK(stanza.at("incomplete").at(0).at("resumable") == true);
    CHECK_THAT(site.must({"info"}).out, Contains("    backup " + dead + ": failed"));
    const auto retention = stanza.at("backup").at(0).at("retention");
    CHECK(retention == json::parse(R"({"class":"pinned","expires":null,"pinned":true,
        "schedule":"daily"})"));

    site.must({"annotate", "--set=" + label, "--unpin"});
    const auto ruled = site.info({"--repo1-retention-schedule=daily=7d"}).at("backup").at(0);
    CHECK(ruled.at("retention").at("class") == "schedule daily");
    CHECK(ruled.at("retention").at("expires") ==
          ruled.at("timestamp").at("stop").get<std::int64_t>() + 7 * 86400);
}

TEST_CASE("info tells how much was verified, and what verify found", "[window][info][verify]")
{
    Site site;
    site.backup();
    CHECK(site.info().at("verify").empty());

    site.must({"verify"});
    const auto verified = site.info().at("verify").at(0);
    CHECK(verified.at("bytes") == verified.at("total"));
    CHECK(verified.at("bytes").get<std::uint64_t>() > 1000000);
    CHECK(verified.at("damage").empty());
    CHECK_THAT(site.must({"info"}).out, Contains("    verified: 100% since "));

    const auto second = site.backup();
    CHECK(site.info().at("verify").at(0).at("total") > verified.at("total"));
    const auto packs = site.objects(second + "/pack/");
    flip_byte(site.repository() + "/" + packs.at(0), 5000);
    CHECK(site.run({"verify"}).status != 0);
    CHECK(site.info().at("verify").at(0).at("damage").at(0).at("backup") == second);
    CHECK_THAT(site.must({"info"}).out, Contains("    damaged: pack "));
}
