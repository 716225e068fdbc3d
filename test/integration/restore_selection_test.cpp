// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <filesystem>

// Restores of a part of a cluster, and to other places: databases, tablespaces, links.

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

bool is_hollow(const std::string& path)
{
    struct stat state {};
    return ::stat(path.c_str(), &state) == 0 && state.st_size > 0 && state.st_blocks == 0;
}

} // namespace

TEST_CASE("databases that are left out are hollow, and the cluster survives a visit",
          "[restore][bug-38]")
{
    const auto* option = GENERATE("--db-include=wanted", "--db-exclude=unwanted");
    CAPTURE(option);
    Site site;
    auto& cluster = site.cluster();
    for (const std::string name : {"wanted", "unwanted"}) {
        cluster.sql("CREATE DATABASE " + name);
        cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 10000) AS a", name);
    }
    cluster.sql("CHECKPOINT");
    const auto file = cluster.sql("SELECT pg_relation_filepath('t')", "unwanted");
    const auto size = fs::file_size(cluster.path(file));
    site.backup();
    cluster.sql("UPDATE t SET a = a + 1", "unwanted"); // replay meets the hollow files
    cluster.sql("VACUUM t", "unwanted");
    cluster.sql("INSERT INTO t VALUES (0)", "wanted");
    cluster.archive_current_segment();

    auto restored = site.restore({option});

    CHECK(is_hollow(restored.path(file)));
    CHECK(fs::file_size(restored.path(file)) == size);
    restored.recover();
    CHECK(restored.sql("SELECT count(*) FROM t", "wanted") == "10001");
    CHECK(restored.try_sql("SELECT 1", "unwanted").status != 0);
    CHECK(restored.log().find("PANIC") == std::string::npos);
    CHECK(restored.try_sql("DROP DATABASE unwanted").status == 0);
}

TEST_CASE("a selection of databases that makes no sense is refused", "[restore][bug-38]")
{
    Site site;
    site.backup();
    const auto& [option, status] = GENERATE(table<std::string, int>(
        {{"--db-include=nosuch", 80}, {"--db-exclude=nosuch", 80}, {"--db-include=postgres", 81}}));
    CAPTURE(option);

    CHECK(site.run({"restore", "--pg1-path=" + site.new_path("target"), option}).status == status);
}

TEST_CASE("a system database that is named is left out", "[restore][bug-38]")
{
    Site site;
    site.cluster().sql("CREATE DATABASE wanted");
    site.cluster().sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i", "wanted");
    site.backup();
    site.cluster().stop();

    auto restored =
        site.restore({"--db-exclude=postgres", "--type=immediate", "--target-action=promote"});
    restored.start();

    CHECK(restored.try_sql("SELECT 1", "postgres").status != 0);
    CHECK(restored.sql("SELECT count(*) FROM t", "wanted") == "10");
}

TEST_CASE("tablespaces go where they are mapped", "[restore][bug-7]")
{
    Site site;
    auto& cluster = site.cluster();
    for (const std::string name : {"one", "two"}) {
        fs::create_directory(site.path(name));
        cluster.sql("CREATE TABLESPACE " + name + " LOCATION '" + site.path(name) + "'");
        cluster.sql("CREATE TABLE in_" + name + " TABLESPACE " + name +
                    " AS SELECT generate_series(1, 5000) AS a");
    }
    const auto label = site.backup();
    const auto tablespaces = site.info({"--set=" + label}).at("backup").at(0).at("tablespace");
    REQUIRE(tablespaces.size() == 2);
    CHECK(tablespaces.at(0).at("name") == "one");
    CHECK(tablespaces.at(0).at("destination") == site.path("one"));

    CHECK(site.run({"restore", "--pg1-path=" + site.new_path("target")}).status ==
          40); // their own places are in use
    CHECK(site.run({"restore",
                    "--pg1-path=" + site.new_path("target"),
                    "--tablespace-map=three=/tmp/x"})
              .status == 76);
    auto restored = site.restore({"--tablespace-map=one=" + site.path("other"),
                                  "--tablespace-map-all=" + site.path("rest")});

    CHECK(fs::read_symlink(restored.path(
              "pg_tblspc/" + cluster.sql("SELECT oid FROM pg_tablespace WHERE spcname = "
                                         "'one'"))) == site.path("other"));
    CHECK_FALSE(fs::is_empty(site.path("rest/two")));
    restored.recover();
    CHECK(restored.sql("SELECT (SELECT count(*) FROM in_one) + (SELECT count(*) FROM in_two)") ==
          "10000");
    CHECK(restored.sql(
              "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'two'") ==
          site.path("rest/two"));
}

TEST_CASE("links become plain files unless they are kept or mapped", "[restore]")
{
    Site site;
    auto& cluster = site.cluster();
    cluster.stop();
    const auto conf = cluster.path("postgresql.conf");
    fs::rename(conf, site.path("linked.conf"));
    fs::create_symlink(site.path("linked.conf"), conf);
    cluster.start();
    site.backup();

    SECTION("by default")
    {
        auto restored = site.restore({});

        CHECK_FALSE(fs::is_symlink(restored.path("postgresql.conf")));
        CHECK(read_file(restored.path("postgresql.conf")) == read_file(site.path("linked.conf")));
        restored.recover();
    }
    SECTION("mapped")
    {
        const auto place = site.path("elsewhere.conf");

        auto restored = site.restore({"--link-map=postgresql.conf=" + place});

        CHECK(fs::read_symlink(restored.path("postgresql.conf")) == place);
        CHECK(read_file(place) == read_file(site.path("linked.conf")));
    }
    SECTION("kept")
    {
        const auto content = read_file(site.path("linked.conf"));
        fs::remove(site.path("linked.conf"));

        auto restored = site.restore({"--link-all"});

        CHECK(fs::read_symlink(restored.path("postgresql.conf")) == site.path("linked.conf"));
        CHECK(read_file(site.path("linked.conf")) == content);
    }
    SECTION("mapped though there is no such thing")
    {
        CHECK(site.run({"restore",
                        "--pg1-path=" + site.new_path("target"),
                        "--link-map=nosuch=/tmp/x"})
                  .status == 78);
    }
}
