// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

// What a server does to its files between two backups, with every way to find out what changed. The
// incremental must restore the files that a full backup of the same moment restores, before WAL is
// replayed over them.

using namespace pgstrata::test;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

struct Setup {
    unsigned major;
    bool checksums;
    std::string tracking; // auto finds no summaries before 17
};

std::vector<Setup> setups()
{
    const std::vector<Setup> all{{15, true, "auto"},
                                 {17, true, "summary"},
                                 {17, false, "summary"},
                                 {17, false, "scan"},
                                 {18, true, "summary"}};
    const auto majors = test_majors();
    std::vector<Setup> chosen;
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), [&](const Setup& setup) {
        return std::find(majors.begin(), majors.end(), setup.major) != majors.end();
    });
    return chosen;
}

SiteOptions options_of(const Setup& setup)
{
    SiteOptions options;
    options.cluster.major = setup.major;
    options.cluster.checksums = setup.checksums;
    if (setup.major >= 17) {
        options.cluster.settings = {"summarize_wal = on"};
    }
    return options;
}

// One statement a line, each a transaction of its own.
void run_lines(const Cluster& cluster, const Strings& lines, const std::string& database)
{
    for (const auto& line : lines) {
        cluster.sql(line, database);
    }
}

struct Life : Chain {
    explicit Life(const Setup& chosen) : Chain(options_of(chosen)), setup(chosen)
    {
        fs::create_directory(site().path("space"));
        cluster().sql("CREATE TABLESPACE space LOCATION '" + site().path("space") + "'");
        cluster().sql("CREATE DATABASE second");
        create_tables();
        run_lines(
            cluster(), {"CREATE TABLE here AS SELECT generate_series(1, 3000) AS i"}, "second");
    }

    void create_tables()
    {
        run_lines(
            cluster(),
            {"CREATE TABLE shrunk AS SELECT i AS id, repeat('x', 400) AS text FROM "
             "generate_series(1, 4000) AS i",
             "CREATE TABLE emptied AS SELECT generate_series(1, 20000) AS i",
             "CREATE TABLE dropped AS SELECT generate_series(1, 20000) AS i",
             "CREATE TABLE rebuilt AS SELECT i, md5(i::text) AS t FROM generate_series(1, 10000) "
             "AS i",
             "CREATE TABLE clustered AS SELECT i, md5(i::text) AS t FROM generate_series(1, 10000) "
             "AS i",
             "CREATE INDEX clustered_t ON clustered (t)",
             "CREATE TABLE moved AS SELECT i, md5(i::text) AS t FROM generate_series(1, 10000) AS "
             "i",
             "CREATE TABLE there TABLESPACE space AS SELECT generate_series(1, 20000) AS i",
             "CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 5000) AS i",
             "CREATE TABLE logged AS SELECT generate_series(1, 5000) AS i",
             "CREATE TABLE visible (id int PRIMARY KEY, v int)",
             "INSERT INTO visible SELECT i, i FROM generate_series(1, 20000) AS i",
             "CREATE TABLE spaced AS SELECT i AS id, repeat('y', 200) AS t FROM "
             "generate_series(1, 10000) AS i",
             "CREATE TABLE hinted AS SELECT i AS id, md5(i::text) AS t FROM generate_series(1, "
             "20000) "
             "AS i",
             "CREATE SEQUENCE counter",
             "CREATE TABLE indexed (id int, p point, r int4range, a int[], t text)",
             "INSERT INTO indexed SELECT i, point(i, -i), int4range(i, i + 9), ARRAY[i, i % 7], "
             "md5(i::text) FROM generate_series(1, 5000) AS i",
             "CREATE INDEX ON indexed USING spgist (p)",
             "CREATE INDEX ON indexed USING gist (r)",
             "CREATE INDEX ON indexed USING gin (a)",
             "CREATE INDEX ON indexed USING hash (t)",
             "CREATE INDEX ON indexed USING brin (id)",
             "CREATE INDEX ON indexed (id)",
             "VACUUM (FREEZE) visible, spaced, emptied"},
            "postgres");
    }

    void live_a_little()
    {
        run_lines(cluster(),
                  {"DELETE FROM shrunk WHERE id > 400",
                   "VACUUM shrunk",
                   "TRUNCATE emptied",
                   "INSERT INTO emptied SELECT -i FROM generate_series(1, 300) AS i",
                   "DROP TABLE dropped",
                   "CREATE TABLE dropped AS SELECT -i AS i FROM generate_series(1, 20000) AS i",
                   "DELETE FROM rebuilt WHERE i % 3 = 0",
                   "VACUUM FULL rebuilt",
                   "CLUSTER clustered USING clustered_t",
                   "ALTER TABLE moved SET TABLESPACE space",
                   "ALTER TABLE unlogged SET LOGGED",
                   "ALTER TABLE logged SET UNLOGGED",
                   // Clears bits of the visibility map without naming one of its pages.
                   "DELETE FROM visible WHERE id % 4 = 0",
                   "DELETE FROM spaced WHERE id % 3 = 0",
                   "VACUUM spaced",
                   "SELECT sum(id) FROM hinted",
                   "SELECT nextval('counter') FROM generate_series(1, 100)",
                   "INSERT INTO indexed SELECT i, point(i, i), int4range(i, i + 9), ARRAY[i], "
                   "md5(i::text) FROM generate_series(5001, 5300) AS i",
                   "UPDATE indexed SET id = -id WHERE id % 50 = 0",
                   "CREATE DATABASE copied TEMPLATE second STRATEGY file_copy",
                   "CREATE DATABASE logged TEMPLATE second STRATEGY wal_log"},
                  "postgres");
        run_lines(cluster(), {"UPDATE here SET i = -i WHERE i < 10"}, "copied");
    }

    // WAL tells of the pages by the place where they were changed.
    void move_database_there_and_back()
    {
        cluster().sql("ALTER DATABASE second SET TABLESPACE space");
        cluster().sql("UPDATE here SET i = -i WHERE i % 10 = 0", "second");
        cluster().sql("ALTER DATABASE second SET TABLESPACE pg_default");
    }

    // After a crash files may end with pages that no WAL tells of. Their numbers are those of rows
    // that were vacuumed away.
    void grow_with_zero_pages()
    {
        const auto file = cluster().path(cluster().sql("SELECT pg_relation_filepath('shrunk')"));
        const auto pages = fs::file_size(file) / kServerPage;
        REQUIRE(pages < 30);
        cluster().stop();
        fs::resize_file(file, (pages + 40) * kServerPage);
        cluster().start();
        cluster().sql("INSERT INTO shrunk VALUES (5000, 'after')");
    }

    void live_on()
    {
        cluster().sql("COPY shrunk FROM PROGRAM $$seq 6000 9000 | sed 's/$/\tlong long text/'$$");
        run_lines(cluster(),
                  {"DELETE FROM shrunk WHERE id > 8000",
                   "VACUUM",
                   "ALTER TABLE moved SET TABLESPACE pg_default",
                   "ALTER TABLE unlogged SET UNLOGGED",
                   "ALTER TABLE logged SET LOGGED",
                   "DROP DATABASE copied",
                   "CREATE DATABASE copied TEMPLATE second STRATEGY file_copy",
                   "ALTER DATABASE logged SET TABLESPACE space",
                   "DELETE FROM there WHERE i % 2 = 0",
                   "VACUUM there",
                   "REINDEX TABLE indexed",
                   "DELETE FROM indexed WHERE id % 3 = 0",
                   "VACUUM indexed",
                   "INSERT INTO emptied SELECT generate_series(1, 20000)",
                   "DROP TABLE rebuilt",
                   "DELETE FROM visible WHERE id % 4 = 1"},
                  "postgres");
        run_lines(cluster(), {"TRUNCATE here"}, "second");
        run_lines(cluster(), {"INSERT INTO here SELECT generate_series(1, 50)"}, "logged");
    }

    void check_files(const std::string& type)
    {
        settle(cluster());
        take({"--type=" + type, "--change-tracking=" + setup.tracking});
        CHECK(summary().at("type") == type);
        CHECK(summary().at("change-tracking") ==
              (setup.tracking == "summary" ? "summary" : "scan"));
        CHECK(differences_from_full() == Strings{});
    }

    void check_rows()
    {
        auto restored = restore();
        restored.start();
        restored.wait_until_promoted();
        for (const auto* database : {"postgres", "second", "copied", "logged"}) {
            CAPTURE(database);
            CHECK(fingerprint(restored, database) == fingerprint(cluster(), database));
        }
        const auto* by_index = "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT "
                               "count(*), sum(id) FROM visible WHERE id > 0";
        const auto* by_rows = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET "
                              "enable_bitmapscan = off; SELECT count(*), sum(id) FROM visible "
                              "WHERE id > 0";
        CHECK(restored.sql(by_index) == restored.sql(by_rows));
        const auto* by_indexes =
            "SET enable_seqscan = off; SELECT (SELECT count(*) FROM indexed WHERE p <@ "
            "box(point(0, 0), point(9999, 9999))), (SELECT count(*) FROM indexed WHERE r @> 5100), "
            "(SELECT count(*) FROM indexed WHERE a @> ARRAY[3]), (SELECT count(*) FROM indexed "
            "WHERE t = md5('5200')), (SELECT count(*) FROM indexed WHERE id BETWEEN 10 AND 4000)";
        CHECK(restored.sql(by_indexes) == cluster().sql(by_indexes));
        CHECK(restored.sql("SELECT nextval('counter') > 100") == "t");
        if (cluster().major() == 15) {
            CHECK(restored.verify_structures());
            restored.stop();
            CHECK(restored.verify_checksums());
        }
    }

    Setup setup;
};

} // namespace

TEST_CASE("an incremental backup restores the files that a full one restores",
          "[incremental][change-tracking][bug-5]")
{
    const auto setup = GENERATE(from_range(setups()));
    CAPTURE(setup.major, setup.checksums, setup.tracking);
    Life life(setup);
    settle(life.cluster());
    life.take({"--type=full"});

    life.move_database_there_and_back();
    life.live_a_little();
    life.check_files("incr");
    life.check_rows();
    life.grow_with_zero_pages();
    life.check_files("incr");
    life.live_on();
    life.check_files("diff");
    life.cluster().sql("UPDATE moved SET t = 'last' WHERE i = 77");
    life.check_files("incr");
    life.check_rows();
}

TEST_CASE("a relation of several segments changes on both sides of their border",
          "[.long][incremental][change-tracking]")
{
    const auto setup = GENERATE(from_range(setups()));
    CAPTURE(setup.major, setup.checksums, setup.tracking);
    Chain chain(options_of(setup));
    auto& cluster = chain.cluster();
    // One row a page.
    cluster.sql("CREATE TABLE wide (id int, text text) WITH (fillfactor = 50)");
    cluster.sql("ALTER TABLE wide ALTER text SET STORAGE plain");
    cluster.sql(
        "INSERT INTO wide SELECT i, repeat('x', 4200) FROM generate_series(1, 135000) AS i");
    const auto check = [&](const std::string& type) {
        settle(cluster);
        chain.take({"--type=" + type, "--change-tracking=" + setup.tracking});
        CHECK(chain.differences_from_full() == Strings{});
    };
    settle(cluster);
    chain.take({"--type=full"});

    cluster.sql("UPDATE wide SET text = repeat('y', 3000) WHERE id BETWEEN 131060 AND 131090");
    check("incr");
    cluster.sql("DELETE FROM wide WHERE id > 120000");
    cluster.sql("VACUUM wide");
    cluster.sql("INSERT INTO wide SELECT i, repeat('z', 4200) FROM generate_series(1, 13000) AS i");
    check("incr");
    cluster.sql("DELETE FROM wide WHERE id > 131000; INSERT INTO wide VALUES (1, 'more')");
    check("diff");

    auto restored = chain.restore();
    restored.start();
    restored.wait_until_promoted();
    CHECK(fingerprint(restored) == fingerprint(cluster));
}
