// SPDX-License-Identifier: PostgreSQL
#include "integration/open_session.hpp"
#include "support/cluster.hpp"
#include "support/matchers.hpp"

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/time.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <thread>

using namespace pgstrata;
using test::Cluster;
using test::HasCode;

TEST_CASE("a session tells what the server tells", "[session]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    CAPTURE(major);
    Cluster cluster({.major = major, .wal_segment_mb = 1, .settings = {"wal_level = replica"}});
    cluster.start();
    // Whatever the role or the database sets must not end our statements early.
    cluster.sql("ALTER ROLE postgres SET statement_timeout = '1ms'");
    cluster.sql("ALTER ROLE postgres SET search_path = 'public'");
    cluster.sql("ALTER ROLE postgres SET client_encoding = 'LATIN1'");
    if (major >= 14) {
        cluster.sql("ALTER ROLE postgres SET idle_session_timeout = '1s'");
    }
    if (major >= 17) {
        cluster.sql("ALTER ROLE postgres SET transaction_timeout = '1ms'");
    }
    const auto session = open_session(cluster);
    sleep_milliseconds(1500);

    CHECK(session->major() == major);
    for (const auto* name : {"statement_timeout", "lock_timeout", "search_path"}) {
        CAPTURE(name);
        CHECK((session->setting(name) == "0" || session->setting(name).empty()));
    }
    CHECK(session->setting("application_name") == "pgstrata");
    CHECK(session->setting("no_such_setting").empty());
    CHECK(session->setting("wal_segment_size") == "1MB");
    CHECK_FALSE(session->is_in_recovery());
    CHECK(session->timeline() == 1);
    CHECK(std::to_string(session->system_identifier()) ==
          cluster.sql("SET statement_timeout = 0; "
                      "SELECT system_identifier FROM pg_control_system()"));
    const auto databases = session->databases();
    REQUIRE(databases.size() == 3);
    CHECK(databases.front().name == "template1");
    CHECK(databases.front().is_template);
    CHECK(session->archiver_status().failed_count == 0);
    CHECK(session->tablespaces().empty());
}

TEST_CASE("only what the last attempt to archive failed for is failing", "[session][bug-59]")
{
    Cluster cluster({});
    cluster.add_setting("archive_mode = on");
    cluster.add_setting("archive_command = 'test -e archiver-works'");
    cluster.start();
    const auto session = open_session(cluster);
    cluster.sql("SELECT pg_create_restore_point('one'), pg_switch_wal()");
    test::wait_until("a failure", [&] { return session->archiver_status().failed_count > 0; });
    CHECK(session->archiver_status().failing_wal == "000000010000000000000001");

    test::write_file(cluster.path("archiver-works"), "");

    test::wait_until("success",
                     [&] { return !session->archiver_status().last_archived_wal.empty(); });
    CHECK(session->archiver_status().failed_count > 0);
    CHECK(session->archiver_status().failing_wal.empty());
}

TEST_CASE("names are kept as bytes", "[session][bug-6]")
{
    Cluster cluster({.major = 15});
    cluster.start();
    cluster.sql("CREATE DATABASE \"d\xc3\xa4\xe2\x82\xac = [x]\\\"");
    ::setenv("PGCLIENTENCODING", "LATIN1", 1);
    const auto session = open_session(cluster);
    ::unsetenv("PGCLIENTENCODING");

    CHECK(session->databases().back().name == "d\xc3\xa4\xe2\x82\xac = [x]\\");
}

TEST_CASE("a backup is started and stopped", "[session]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    CAPTURE(major);
    Cluster cluster({.major = major, .wal_segment_mb = 1, .settings = {"wal_level = replica"}});
    cluster.start();
    const auto session = open_session(cluster);

    const auto start = session->start_backup("pgstrata 'quoted' label", true);
    cluster.sql("CREATE TABLE t AS SELECT 1");
    CHECK_THROWS_MATCHES(session->start_backup("again", true), Error, HasCode(ErrorCode::db_query));
    const auto stop = session->stop_backup();

    CHECK(start.lsn < stop.lsn);
    CHECK(start.timeline == 1);
    CHECK(start.wal_segment.size() == 24);
    CHECK(start.wal_segment.starts_with("00000001"));
    CHECK(std::abs(start.time - std::time(nullptr)) < 60);
    CHECK(stop.time >= start.time);
    CHECK_THAT(stop.backup_label,
               Catch::StartsWith("START WAL LOCATION: " + to_string(start.lsn) + " (file " +
                                 start.wal_segment + ")\n"));
    CHECK_THAT(stop.backup_label, Catch::Contains("LABEL: pgstrata 'quoted' label\n"));
    CHECK(stop.tablespace_map.empty());
    CHECK_THROWS_MATCHES(session->stop_backup(), Error, HasCode(ErrorCode::db_query));
}

TEST_CASE("switching the WAL names the segment that is complete", "[session][bug-22]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    CAPTURE(major);
    Cluster cluster({.major = major, .wal_segment_mb = 1});
    cluster.start();
    const auto session = open_session(cluster);

    const auto point = session->create_restore_point("pgstrata check");
    const auto expected = cluster.sql("SELECT pg_walfile_name('" + to_string(point) + "')");
    CHECK(session->switch_wal() == expected);
    // Nothing was written since: still the segment that was completed last.
    const auto again = session->switch_wal();
    CHECK(again >= expected);
    CHECK(session->current_lsn() > point);
    CHECK(std::filesystem::exists(cluster.path("pg_wal/" + expected)));
    CHECK(again < cluster.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())"));
}

TEST_CASE("a statement that takes too long is cancelled and the session goes on", "[session]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    Cluster cluster(
        {.major = major,
         .settings = {"checkpoint_timeout = 1h", "checkpoint_completion_target = 1.0"}});
    cluster.start();
    cluster.sql("CREATE TABLE t AS SELECT * FROM generate_series(1, 200000)");
    const auto session = open_session(cluster, 1000);
    const auto begin = monotonic_milliseconds();

    CHECK_THROWS_MATCHES(
        session->start_backup("spread", false), Error, HasCode(ErrorCode::db_query));
    CHECK(monotonic_milliseconds() - begin < 5000);
    CHECK(session->start_backup("fast", true).lsn.value > 0);
    session->stop_backup();
}

TEST_CASE("a signal or another thread ends a statement", "[session][bug-57]")
{
    const bool by_signal = GENERATE(true, false);
    Cluster cluster(
        {.major = 15,
         .settings = {"checkpoint_timeout = 1h", "checkpoint_completion_target = 1.0"}});
    cluster.start();
    cluster.sql("CREATE TABLE t AS SELECT * FROM generate_series(1, 200000)");
    const auto session = open_session(cluster);
    std::thread other([&] {
        sleep_milliseconds(500);
        if (by_signal) {
            set_pending_signal(SIGTERM);
        } else {
            session->cancel();
        }
    });
    const auto begin = monotonic_milliseconds();

    CHECK_THROWS_MATCHES(session->start_backup("spread", false),
                         Error,
                         HasCode(by_signal ? ErrorCode::terminated : ErrorCode::db_query));
    other.join();
    set_pending_signal(0);
    CHECK(monotonic_milliseconds() - begin < 5000);
    CHECK(cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ "
                      "'start_backup|backup_start' AND state = 'active' AND pid "
                      "<> pg_backend_pid()") == "0");
}

TEST_CASE("objects of other users do not stand in for the server's", "[session][bug-55]")
{
    Cluster cluster({.major = 15, .settings = {"wal_level = replica"}});
    cluster.start();
    cluster.sql("CREATE FUNCTION public.pg_is_in_recovery() RETURNS bool "
                "LANGUAGE sql AS 'SELECT true'");
    cluster.sql("CREATE TABLE public.pg_database (oid oid, datname text, "
                "datistemplate bool, datallowconn bool)");
    cluster.sql("ALTER ROLE postgres SET search_path = 'public, pg_catalog'");
    ::setenv("PGOPTIONS", "-c search_path=public,pg_catalog", 1);
    const auto session = open_session(cluster);
    ::unsetenv("PGOPTIONS");

    CHECK_FALSE(session->is_in_recovery());
    CHECK(session->databases().size() == 3);
}

TEST_CASE("a server that goes away is an error", "[session]")
{
    Cluster cluster({.major = 15});
    cluster.start();
    const auto session = open_session(cluster);
    cluster.stop(test::Shutdown::immediate);

    CHECK_THROWS_AS(session->is_in_recovery(), Error);
    CHECK_THROWS_MATCHES(session->is_in_recovery(), Error, HasCode(ErrorCode::db_connect));
}

TEST_CASE("a role without rights is told what is missing", "[session]")
{
    Cluster cluster({.major = 15, .settings = {"wal_level = replica"}});
    cluster.start();
    cluster.sql("CREATE ROLE weak LOGIN");
    const auto session = postgres::connect({.socket_path = cluster.socket_directory(),
                                            .port = static_cast<std::uint16_t>(cluster.port()),
                                            .user = "weak"});
    try {
        session->start_backup("x", true);
        FAIL("started");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::db_query);
        CHECK_FALSE(error.hint().empty());
        INFO(error.what());
    }
}

TEST_CASE("right after a promotion the timeline is the one that is written", "[session][bug-16]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    CAPTURE(major);
    // The checkpoint after the promotion is to take long.
    Cluster cluster(
        {.major = major, .settings = {"wal_level = replica", "checkpoint_timeout = 1h"}});
    cluster.start();
    cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 300000) AS i");
    cluster.kill();
    test::write_file(cluster.data_directory() + "/standby.signal", "");
    cluster.start();
    cluster.sql("SELECT pg_promote()");
    cluster.wait_until_promoted();
    const auto session = open_session(cluster);

    CHECK(session->timeline() == 2);
    CHECK(cluster.sql("SELECT timeline_id FROM pg_control_checkpoint()") == "1");
}

TEST_CASE("a standby can be backed up too", "[session]")
{
    const auto major = GENERATE(from_range(test::test_majors()));
    CAPTURE(major);
    Cluster primary({.major = major, .settings = {"wal_level = replica"}});
    primary.start();
    const test::TemporaryDirectory directory;
    const std::string data = directory / "standby";
    primary.stop();
    std::filesystem::copy(primary.data_directory(), data, std::filesystem::copy_options::recursive);
    std::filesystem::permissions(data, std::filesystem::perms::owner_all);
    test::write_file(data + "/standby.signal", "");
    Cluster standby(major, data);
    standby.start();
    const auto session = open_session(standby);

    CHECK(session->is_in_recovery());
    CHECK(session->current_lsn().value > 0);
    CHECK(session->timeline() == 1);
    const auto start = session->start_backup("from standby", true);
    CHECK(start.timeline == 1);
    CHECK(start.wal_segment.empty());
    const auto stop = session->stop_backup();
    CHECK(stop.start_timeline == 1);
    CHECK_THAT(stop.backup_label, Catch::Contains("BACKUP FROM: standby"));
    CHECK_THROWS_MATCHES(session->switch_wal(), Error, HasCode(ErrorCode::db_query));
}
