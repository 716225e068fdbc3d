// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <filesystem>

// The harness must be able to fail; a test that cannot is worse than none.

using namespace pgstrata::test;

TEST_CASE("a program's streams, exit status and signal are captured", "[harness][bug-60]")
{
    const auto ended = run_process({"/bin/sh", "-c", "echo out; echo $PGSTRATA_X >&2; exit 7"},
                                   {.environment = {{"PGSTRATA_X", "err"}}});
    CHECK(ended.status == 7);
    CHECK(ended.out == "out\n");
    CHECK(ended.err == "err\n");

    BackgroundProcess sleeper({"/bin/sleep", "60"});
    sleeper.signal(SIGTERM);
    CHECK(sleeper.wait().status == 128 + SIGTERM);

    CHECK_THROWS_AS(run_process({"/bin/sleep", "60"}, {.timeout = std::chrono::seconds(0)}),
                    std::runtime_error);
}

TEST_CASE("a cluster of each version starts, survives a kill and reports its state",
          "[harness][bug-60]")
{
    const auto major = GENERATE(from_range(test_majors()));
    CAPTURE(major);
    Cluster cluster({.major = major, .checksums = false, .wal_segment_mb = 1});
    cluster.start();
    cluster.sql("CREATE TABLE t AS SELECT 1 AS a");
    cluster.kill();
    cluster.start();

    CHECK(cluster.sql("SELECT a, 2 FROM t") == "1|2");
    CHECK(cluster.sql("SHOW wal_segment_size") == "1MB");
    CHECK(cluster.sql("SHOW data_checksums") == "off");
    CHECK(cluster.sql("SHOW server_version_num").starts_with(std::to_string(major)));
    CHECK(cluster.log().find("automatic recovery in progress") != std::string::npos);
    CHECK_THROWS_AS(cluster.sql("SELECT nonsense"), std::runtime_error);
    cluster.stop();
    write_file(cluster.path("PG_VERSION"), "9.1\n");
    CHECK_FALSE(cluster.try_start());
}

TEST_CASE("damage of a page is found by pg_checksums", "[harness][bug-60]")
{
    Cluster cluster({});
    cluster.start();
    const auto file = cluster.sql("SELECT pg_relation_filepath('pg_class')");
    cluster.stop();
    CHECK(cluster.verify_checksums());

    flip_byte(cluster.path(file), 4000);

    CHECK_THROWS_AS(cluster.verify_checksums(), std::runtime_error);
}

TEST_CASE("the comparison of data directories names what differs", "[harness][bug-60]")
{
    Cluster left({});
    Cluster right({});
    const ComparisonOptions options{.ignored = {"postgresql.conf", "pg_stat/"}};
    REQUIRE(
        compare_data_directories(left.data_directory(), right.data_directory(), options).empty());

    const auto file = std::string("base/1/1259"); // pg_class of template1
    flip_byte(right.path(file), 8192 + 5);
    write_file(left.path("global/new"), "");
    std::filesystem::remove(right.path("PG_VERSION"));
    write_file(right.path("pg_stat/ignored"), "");

    CHECK(compare_data_directories(left.data_directory(), right.data_directory(), options) ==
          std::vector<std::string>{"PG_VERSION is missing on the right",
                                   file + " page 1 differs",
                                   "global/new is missing on the right"});
}

TEST_CASE("the small disk can be filled and emptied", "[harness][bug-60]")
{
    auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    disk->fill_until(1 << 20);
    CHECK(disk->free_bytes() <= 1 << 20);
    CHECK_THROWS_AS(write_file(disk->path() + "/file", std::string(2 << 20, 'x')),
                    std::runtime_error);
    disk->release();
    CHECK(disk->free_bytes() > 40U << 20U);
}
