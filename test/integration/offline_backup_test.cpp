// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

TEST_CASE("an offline backup of a running server is refused", "[backup][offline]")
{
    Site site;

    CHECK(site.run({"backup", "--type=full", "--no-online"}).status == 38);
    CHECK(site.labels().empty());
}

TEST_CASE("a tablespace whose name a stopped server does not tell is named by its oid",
          "[backup][offline]")
{
    Site site;
    auto& cluster = site.cluster();
    std::filesystem::create_directory(site.path("fast"));
    cluster.sql("CREATE TABLESPACE fast LOCATION '" + site.path("fast") + "'");
    const auto oid = cluster.sql("SELECT oid FROM pg_tablespace WHERE spcname = 'fast'");
    cluster.stop();
    const auto label = site.backup({"--type=full", "--no-online"});

    const auto shown = site.info({"--set=" + label}).at("backup").at(0).at("tablespace").at(0);
    const auto restored = site.restore({"--tablespace-map-all=" + site.path("all")});

    CHECK(shown.at("name") == "ts" + oid);
    CHECK(std::filesystem::read_symlink(restored.path("pg_tblspc/" + oid)) ==
          site.path("all/ts" + oid));
}

TEST_CASE("an offline backup comes back the same page by page and starts by itself",
          "[backup][offline]")
{
    const auto major = GENERATE(from_range(test_majors()));
    CAPTURE(major);
    Site site({.cluster = {.major = major}});
    site.cluster().load_pgbench(1);
    site.cluster().sql("CREATE TABLE empty (a int); CREATE TABLE gone (a int); DROP TABLE gone");
    site.cluster().stop();
    site.backup({"--type=full", "--no-online"});

    auto restored = site.restore({"--type=none"});

    CHECK(compare_data_directories(site.cluster().data_directory(), restored.data_directory()) ==
          std::vector<std::string>{});
    restored.start();
    CHECK(restored.sql("SELECT count(*) FROM pgbench_accounts") == "100000");
}

TEST_CASE("an offline backup recovers when that is asked for", "[restore][offline][bug-39]")
{
    Site site;
    site.cluster().stop();
    site.backup({"--type=full", "--no-online"});
    site.cluster().start();
    site.cluster().sql("CREATE TABLE later (a int)");
    site.cluster().archive_current_segment();

    auto restored = site.restore({"--type=default"});

    restored.recover();
    CHECK(restored.sql("SELECT count(*) FROM later") == "0");
}
