// SPDX-License-Identifier: PostgreSQL
#include "integration/open_session.hpp"
#include "support/cluster.hpp"
#include "support/tester.hpp"

#include "pgstrata/engine/wal_changes.hpp"
#include "pgstrata/postgres/session.hpp"
#include "pgstrata/postgres/wal_summary.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <sstream>

using namespace pgstrata;
using postgres::ChangedBlocks;
using postgres::Fork;
using test::Cluster;

namespace {

constexpr unsigned kFirstMajor = 17;
constexpr std::uint32_t kDefaultTablespace = 1663;

std::vector<unsigned> summarizing_majors()
{
    auto majors = test::test_majors();
    std::erase_if(majors, [](unsigned major) { return major < kFirstMajor; });
    if (majors.empty()) {
        test::report_skip("WAL summaries: no server of 17 or later");
    }
    return majors;
}

Cluster summarizing_cluster(unsigned major)
{
    Cluster cluster({.major = major,
                     .wal_segment_mb = 1,
                     .settings = {"wal_level = replica",
                                  "summarize_wal = on",
                                  "autovacuum = off",
                                  "restore_command = 'false'"}});
    cluster.start();
    return cluster;
}

std::uint32_t number(const Cluster& cluster, const std::string& query)
{
    return static_cast<std::uint32_t>(std::stoul(cluster.sql(query)));
}

std::uint32_t relation_of(const Cluster& cluster, const std::string& table)
{
    return number(cluster, "SELECT pg_relation_filenode('" + table + "')");
}

std::uint32_t database_oid(const Cluster& cluster, const std::string& name)
{
    return number(cluster, "SELECT oid FROM pg_database WHERE datname = '" + name + "'");
}

// Ends a summary here: summaries end where checkpoints begin.
void checkpoint(const Cluster& cluster)
{
    cluster.sql("CHECKPOINT");
    const auto redo = cluster.sql("SELECT redo_lsn FROM pg_control_checkpoint()");
    for (unsigned i = 0; i < 600; ++i) {
        if (cluster.sql("SELECT summarized_lsn >= '" + redo +
                        "' FROM pg_get_wal_summarizer_state()") == "t") {
            return;
        }
        sleep_milliseconds(50);
    }
    FAIL("the server does not summarize");
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

// As pg_wal_summary_contents() shows them, sorted.
std::vector<std::string> rows_of(const ChangedBlocks& blocks)
{
    std::vector<std::string> rows;
    for (const auto& [fork, changes] : blocks.forks()) {
        const std::string head = std::to_string(fork.relation) + "|" +
                                 std::to_string(fork.tablespace) + "|" +
                                 std::to_string(fork.database) + "|" +
                                 std::to_string(static_cast<unsigned>(fork.fork)) + "|";
        if (changes.limit != postgres::kNoLimitBlock) {
            rows.push_back(head + std::to_string(changes.limit) + "|t");
        }
        for (const auto block : changes.blocks) {
            rows.push_back(head + std::to_string(block) + "|f");
        }
    }
    std::sort(rows.begin(), rows.end());
    return rows;
}

struct ServerSummaries {
    ChangedBlocks all;
    std::size_t files = 0;
    std::size_t most_blocks = 0; // of one fork in one file
};

// Reads every summary of the server and holds it against what the server reads there.
ServerSummaries check_all_summaries(const Cluster& cluster)
{
    ServerSummaries result;
    for (const auto& line : lines_of(cluster.sql(
             "SELECT tli, start_lsn, end_lsn FROM pg_available_wal_summaries() ORDER BY 2"))) {
        CAPTURE(line);
        const auto first = line.find('|');
        const auto second = line.find('|', first + 1);
        const auto start = line.substr(first + 1, second - first - 1);
        const auto end = line.substr(second + 1);
        const std::string name =
            to_string(postgres::WalSummaryName{.timeline = 1,
                                               .start = postgres::parse_lsn(start).value(),
                                               .end = postgres::parse_lsn(end).value()});
        ChangedBlocks blocks;
        postgres::merge_wal_summary(
            as_bytes(read_text_file(cluster.path("pg_wal/summaries/" + name))), name, blocks);
        auto expected = lines_of(cluster.sql(
            "SELECT relfilenode, reltablespace, reldatabase, relforknumber, relblocknumber, "
            "is_limit_block FROM pg_wal_summary_contents(1, '" +
            start + "', '" + end + "')"));
        std::sort(expected.begin(), expected.end());

        // One comparison: no thousands of lines when it fails.
        const bool is_equal = rows_of(blocks) == expected;
        CHECK(is_equal);
        ++result.files;
        for (const auto& [fork, changes] : blocks.forks()) {
            result.most_blocks = std::max(result.most_blocks, changes.blocks.size());
        }
        result.all.merge(std::move(blocks));
    }
    return result;
}

struct Backup {
    postgres::BackupStart start;
    postgres::BackupStop stop;
};

Backup take_backup(postgres::Session& session)
{
    Backup backup;
    backup.start = session.start_backup("pgstrata", true);
    backup.stop = session.stop_backup();
    return backup;
}

engine::WalChanges
changes_between(const Cluster& cluster, const Backup& prior, postgres::Session& session)
{
    const auto start = session.start_backup("pgstrata", true);
    auto changes = engine::read_wal_changes({.data_directory = cluster.data_directory(),
                                             .prior_timeline = prior.start.timeline,
                                             .prior_start = prior.start.lsn,
                                             .prior_stop = prior.stop.lsn,
                                             .timeline = start.timeline,
                                             .start = start.lsn,
                                             .timeout_milliseconds = 20'000},
                                            session);
    session.stop_backup();
    return changes;
}

} // namespace

TEST_CASE("every WAL summary is read as the server reads it", "[summary]")
{
    const auto majors = summarizing_majors();
    if (majors.empty()) {
        return;
    }
    const auto major = GENERATE_COPY(from_range(majors));
    CAPTURE(major);
    Cluster cluster = summarizing_cluster(major);

    // Few rows a page, so that one checkpoint changes more blocks than a list of offsets can hold.
    cluster.sql("CREATE TABLE t (id int PRIMARY KEY, filler text) WITH (fillfactor = 10)");
    cluster.sql("CREATE TABLE emptied AS SELECT 1 AS a");
    cluster.sql("CREATE TABLE dropped AS SELECT 1 AS a");
    cluster.sql("CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY)");
    cluster.sql("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 40000) i");
    checkpoint(cluster);
    cluster.sql("UPDATE t SET filler = 'y' WHERE id % 97 = 0");
    checkpoint(cluster);
    cluster.sql("DELETE FROM t WHERE id > 20000");
    cluster.sql("VACUUM t");
    checkpoint(cluster);
    const auto emptied = relation_of(cluster, "emptied");
    const auto dropped = relation_of(cluster, "dropped");
    const auto unlogged = relation_of(cluster, "unlogged");
    cluster.sql("TRUNCATE emptied");
    cluster.sql("DROP TABLE dropped");
    cluster.sql("CREATE DATABASE logged STRATEGY wal_log");
    cluster.sql("CREATE DATABASE copied STRATEGY file_copy");
    const auto logged = database_oid(cluster, "logged");
    const auto copied = database_oid(cluster, "copied");
    checkpoint(cluster);
    cluster.sql("DROP DATABASE copied");
    checkpoint(cluster);

    const ServerSummaries summaries = check_all_summaries(cluster);

    CHECK(summaries.files >= 5);
    CHECK(summaries.most_blocks > 4096);
    const auto postgres_oid = database_oid(cluster, "postgres");
    const auto main_of = [&](std::uint32_t relation) {
        return summaries.all.find(kDefaultTablespace, postgres_oid, relation, Fork::main);
    };
    for (const auto relation : {emptied, dropped}) {
        CAPTURE(relation);
        REQUIRE(main_of(relation) != nullptr);
        CHECK(main_of(relation)->limit == 0);
    }
    CHECK(summaries.all.find(kDefaultTablespace, postgres_oid, unlogged, Fork::init) != nullptr);
    REQUIRE(main_of(relation_of(cluster, "t")) != nullptr);
    CHECK(main_of(relation_of(cluster, "t"))->limit == 0); // since it was made
    CHECK(summaries.all.is_whole_database(kDefaultTablespace, logged));
    CHECK(summaries.all.is_whole_database(kDefaultTablespace, copied));
}

TEST_CASE("what changed since a backup is what was written, also over a promotion", "[summary]")
{
    const auto majors = summarizing_majors();
    if (majors.empty()) {
        return;
    }
    const auto major = GENERATE_COPY(from_range(majors));
    CAPTURE(major);
    Cluster cluster = summarizing_cluster(major);
    cluster.sql("CREATE TABLE t (id int, filler text)");
    cluster.sql("INSERT INTO t SELECT i, repeat('x', 2000) FROM generate_series(1, 400) i");
    cluster.sql("CREATE TABLE shrunk AS SELECT * FROM t");
    cluster.sql("CREATE TABLE untouched AS SELECT * FROM t");
    // Hint bits are set and all is frozen now, so that reading writes no WAL later.
    cluster.sql("VACUUM FREEZE t, shrunk, untouched");
    const auto postgres_oid = database_oid(cluster, "postgres");
    const auto find = [&](const engine::WalChanges& changes, const std::string& table) {
        return changes.blocks->find(
            kDefaultTablespace, postgres_oid, relation_of(cluster, table), Fork::main);
    };
    const auto block_of = [&](unsigned id) {
        return number(cluster,
                      "SELECT (ctid::text::point)[0]::int FROM t WHERE id = " + std::to_string(id));
    };
    Backup prior;
    {
        const auto session = open_session(cluster);
        prior = take_backup(*session);
        const auto block = block_of(200);
        cluster.sql("DELETE FROM t WHERE id = 200");
        cluster.sql("DELETE FROM shrunk WHERE id > 40");
        cluster.sql("VACUUM (TRUNCATE on) shrunk");
        const auto length = number(cluster, "SELECT pg_relation_size('shrunk') / 8192");

        const auto changes = changes_between(cluster, prior, *session);

        CAPTURE(changes.reason);
        REQUIRE(changes.blocks);
        CHECK(changes.files > 0);
        REQUIRE(find(changes, "t") != nullptr);
        CHECK(find(changes, "t")->blocks == std::vector<std::uint32_t>{block});
        CHECK(find(changes, "t")->limit == postgres::kNoLimitBlock);
        REQUIRE(find(changes, "shrunk") != nullptr);
        CHECK(find(changes, "shrunk")->limit == length);
        CHECK(find(changes, "untouched") == nullptr);
        CHECK_FALSE(changes.blocks->is_whole_database(kDefaultTablespace, postgres_oid));
        // The first to read the page after a DELETE clears it up, which is a change.
        cluster.sql("SELECT count(*) FROM t");
        prior = take_backup(*session);
    }

    const auto before = block_of(10);
    cluster.sql("DELETE FROM t WHERE id = 10");
    cluster.stop();
    test::write_file(cluster.path("recovery.signal"), "");
    cluster.start();
    cluster.wait_until_promoted();
    const auto after = block_of(390);
    cluster.sql("DELETE FROM t WHERE id = 390");
    const auto session = open_session(cluster);
    const auto changes = changes_between(cluster, prior, *session);

    CAPTURE(changes.reason);
    REQUIRE(changes.blocks);
    REQUIRE(find(changes, "t") != nullptr);
    CHECK(find(changes, "t")->blocks == std::vector<std::uint32_t>{before, after});
    CHECK(find(changes, "untouched") == nullptr);
}

TEST_CASE("a server that does not summarize is told as the reason", "[summary]")
{
    const auto majors = summarizing_majors();
    if (majors.empty()) {
        return;
    }
    const auto major = GENERATE_COPY(from_range(majors));
    CAPTURE(major);
    Cluster cluster = summarizing_cluster(major);
    const auto session = open_session(cluster);
    checkpoint(cluster);
    const auto running = session->summarizer_state();
    CHECK(running.is_running);
    CHECK(running.timeline == 1);
    CHECK(running.summarized.value > 0);
    CHECK(running.pending >= running.summarized);
    const Backup prior = take_backup(*session);

    cluster.sql("ALTER SYSTEM SET summarize_wal = off");
    cluster.restart();
    const auto later = open_session(cluster);
    CHECK_FALSE(later->summarizer_state().is_running);
    CHECK_THAT(changes_between(cluster, prior, *later).reason, Catch::Contains("is off"));

    // WAL that went without a summary leaves a gap.
    cluster.sql("CREATE TABLE t AS SELECT * FROM generate_series(1, 100000)");
    cluster.sql("CHECKPOINT");
    cluster.sql("SELECT pg_switch_wal()");
    cluster.sql("CHECKPOINT");
    cluster.sql("ALTER SYSTEM SET summarize_wal = on");
    cluster.restart();
    const auto changes = changes_between(cluster, prior, *open_session(cluster));
    CHECK_FALSE(changes.blocks);
    CHECK_THAT(changes.reason, Catch::Contains("no WAL summary of timeline 1 from"));
}
