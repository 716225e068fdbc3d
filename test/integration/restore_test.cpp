// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <filesystem>
#include <thread>

using Catch::Contains;
using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

} // namespace

TEST_CASE("a restore over a running server is refused", "[restore][bug-36]")
{
    Site site;
    site.backup();

    CHECK(site.run({"restore"}).status == 38);
    CHECK(site.run({"restore", "--force"}).status == 38);
    CHECK(site.cluster().sql("SELECT 1") == "1");
}

TEST_CASE("a restore into a directory that holds something is refused and touches nothing",
          "[restore][bug-35]")
{
    Site site;
    site.backup();
    const auto target = site.new_path("target");
    fs::create_directory(target);
    write_file(target + "/precious", "x");
    const auto* option =
        GENERATE("", "--force", "--delta"); // which do not trust a directory without PG_VERSION
    CAPTURE(option);
    std::vector<std::string> arguments{"restore", "--pg1-path=" + target};
    if (*option != '\0') {
        arguments.emplace_back(option);
    }

    CHECK(site.run(arguments).status == 40);

    CHECK(read_file(target + "/precious") == "x");
    CHECK(std::distance(fs::directory_iterator(target), fs::directory_iterator()) == 1);
}

TEST_CASE("a restore over an older cluster leaves nothing of it behind", "[restore][bug-35]")
{
    Site site;
    site.cluster().sql("CREATE TABLE wanted AS SELECT generate_series(1, 20000) AS a");
    site.backup();
    site.cluster().sql("UPDATE wanted SET a = -a; CREATE TABLE unwanted AS SELECT 1");
    const auto unwanted = site.cluster().sql("SELECT pg_relation_filepath('unwanted')");
    site.cluster().stop();
    write_file(site.cluster().path("stray"), "x");

    site.must({"restore", "--force", "--type=immediate", "--target-action=promote"});

    CHECK_FALSE(fs::exists(site.cluster().path(unwanted)));
    CHECK_FALSE(fs::exists(site.cluster().path("stray")));
    site.cluster().recover();
    CHECK(site.cluster().sql("SELECT min(a), max(a) FROM wanted") == "1|20000");
}

TEST_CASE("a restore that was killed never leaves a server that starts", "[restore][bug-37]")
{
    Site site;
    site.cluster().load_pgbench(6);
    site.backup();
    const auto target = site.new_path("target");
    fs::create_directory(target);
    const std::vector<std::string> command{"restore", "--force", "--pg1-path=" + target};
    bool was_interrupted = false;

    for (const int milliseconds : {20, 60, 120, 250, 500}) {
        CAPTURE(milliseconds);
        auto restore = site.start(command);
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        if (!restore.is_running()) {
            CHECK(restore.wait().status == 0);
            break;
        }
        restore.signal(SIGKILL);
        restore.wait();
        was_interrupted = true;
        if (fs::exists(target + "/PG_VERSION")) {
            Cluster half(15, target);
            CHECK_FALSE(half.try_start());
        }
    }

    CHECK(was_interrupted);
    site.must(command);
    Cluster whole(15, target);
    whole.recover();
    CHECK(whole.sql("SELECT count(*) FROM pgbench_accounts") == "600000");
}

TEST_CASE("a restore needs a backup that exists and can reach the target", "[restore][bug-40]")
{
    Site site;
    const auto target = "--pg1-path=" + site.new_path("target");
    CHECK(site.run({"restore", target}).status == 75);
    site.backup();

    CHECK(site.run({"restore", target, "--set=20000101-000000F"}).status == 75);
    CHECK(site.run({"restore", target, "--type=time", "--target=2000-01-01 00:00:00+00"}).status ==
          75);
    CHECK(site.run({"restore", target, "--type=time", "--target=not a time"}).status == 29);
    CHECK(site.run({"restore", target, "--type=lsn", "--target=0/28"}).status == 75);
    CHECK(site.run({"restore", target, "--type=lsn", "--target=zz"}).status == 29);
    CHECK(site.run({"restore", target, "--type=time"}).status == 37);
    CHECK(site.run({"restore", target, "--type=xid", "--target=48x"}).status == 32);
    CHECK(site.run({"restore", target, "--type=name", "--target=" + std::string(64, 'n')}).status ==
          32);
    CHECK_FALSE(fs::exists(target.substr(target.find('=') + 1) + "/PG_VERSION"));
}

TEST_CASE("recovery fetches WAL also where a path holds a percent sign", "[restore][bug-6]")
{
    Site site;
    site.backup();
    site.cluster().sql("CREATE TABLE t AS SELECT 1 AS a");
    site.cluster().archive_current_segment();

    Cluster restored = site.restore({"--spool-path=" + site.path("100%file %p")});

    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT a FROM t") == "1");
    CHECK_THAT(read_file(restored.path("postgresql.auto.conf")), Catch::Contains("100%%file %%p"));
}

TEST_CASE("a time that only the server can read is left to it when the backup is named",
          "[restore][bug-40]")
{
    Site site;
    const auto label = site.backup();
    auto& cluster = site.cluster();
    cluster.sql("CREATE TABLE t AS SELECT 1 AS a");
    const auto time = cluster.sql(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD HH24:MI:SS.US \"UTC\"')");
    cluster.sql("SELECT pg_sleep(0.01); CREATE TABLE later AS SELECT 1 AS a");
    cluster.archive_current_segment();
    const std::vector<std::string> to_time = {
        "--type=time", "--target=" + time, "--target-action=promote"};

    auto restored = site.restore({"--set=" + label, to_time[0], to_time[1], to_time[2]});
    const auto told = site.run({"restore",
                                "--pg1-path=" + site.new_path("again"),
                                "--set=" + label,
                                to_time[0],
                                to_time[1]});

    CHECK_THAT(told.text(), Catch::Contains("WARN: unable to check whether the archive reaches"));
    restored.recover();
    CHECK(restored.sql("SELECT a FROM t") == "1");
    CHECK(restored.sql("SELECT to_regclass('later') IS NULL") == "t");
    const auto chosen =
        site.run({"restore", "--pg1-path=" + site.new_path("chosen"), to_time[0], to_time[1]});
    CHECK(chosen.status == 29);
}

TEST_CASE("the latest timeline is refused for a backup that does not lie on it", "[restore]")
{
    Site site;
    const auto label = site.backup();
    const auto history = site.path("00000002.history");
    write_file(history, "1\t0/1000000\tleft before the backup\n");
    site.must({"archive-push", history});

    const std::vector<std::string> named = {
        "restore", "--pg1-path=" + site.new_path("target"), "--set=" + label};
    auto latest = named;
    latest.emplace_back("--target-timeline=latest");
    const auto refused = site.run(latest);
    const auto fallen_back = site.run(named);

    CHECK(refused.status == 58);
    CHECK_THAT(refused.text(), Catch::Contains("timeline 2 cannot be reached"));
    CHECK(fallen_back.status == 0);
    CHECK_THAT(fallen_back.text(), Catch::Contains("timeline 2 is newer but cannot be reached"));
}

TEST_CASE("a time that the archive does not reach is refused before anything is written",
          "[restore][bug-40]")
{
    Site site;
    site.backup();
    site.cluster().archive_current_segment();
    const auto path = site.new_path("target");
    fs::create_directory(path);

    const auto result = site.run(
        {"restore", "--pg1-path=" + path, "--type=time", "--target=2099-01-01 00:00:00+00"});

    CHECK(result.status != 0);
    CHECK(fs::is_empty(path));
}
