// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/archive_fixture.hpp"
#include "unit/engine/fake_session.hpp"

#include "pgstrata/engine/lock.hpp"
#include "pgstrata/engine/spool.hpp"
#include "pgstrata/engine/wal_wait.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/cancel.hpp"

#include <csignal>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

struct Waiting : ArchiveRun {
    Waiting()
    {
        options.check_header = false;
        wait.stanza = kStanza;
        wait.archive_id = cluster.id;
        wait.wal_segment_size = cluster.wal_segment_size;
        wait.timeout_milliseconds = 1;
        wait.repo_index = 3;
    }
    void run(std::uint64_t from, std::uint64_t to, postgres::Session* session = nullptr) const
    {
        wait_for_wal(*repository, wait, {1, from}, {1, to}, session);
    }
    std::string name(std::uint64_t number) const
    {
        return postgres::to_string({1, number}, cluster.wal_segment_size);
    }

    WalWait wait;
};

Error failure_of(const Waiting& waiting, postgres::Session* session)
{
    try {
        waiting.run(3, 3, session);
    } catch (const Error& error) {
        return error;
    }
    throw std::logic_error("nothing was thrown");
}

} // namespace

TEST_CASE("segments that are there are not waited for", "[engine][wal_wait][bug-22]")
{
    Waiting waiting;
    for (std::uint64_t number = 0xFFE; number <= 0x1001; ++number) {
        waiting.push(waiting.name(number), make_segment());
    }
    CHECK(waiting.name(0x1000) == "000000010000000100000000");
    CHECK_NOTHROW(waiting.run(0xFFE, 0x1001));
    CHECK_NOTHROW(waiting.run(0xFFF, 0xFFF));
}

TEST_CASE("a segment that does not come is named when the time is up", "[engine][wal_wait][bug-59]")
{
    Waiting waiting;
    waiting.push(waiting.name(3), make_segment());
    waiting.push(waiting.name(5), make_segment());
    try {
        waiting.run(3, 5);
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::archive_timeout);
        CHECK_THAT(error.what(), Catch::Contains("000000010000000000000004"));
        CHECK_THAT(error.what(), Catch::Contains("repo3"));
        CHECK_THAT(error.hint(), Catch::Contains("archive_command"));
    }
}

TEST_CASE("a .partial is not the segment", "[engine][wal_wait][bug-27]")
{
    Waiting waiting;
    waiting.push(waiting.name(3) + ".partial", make_segment());
    CHECK_THROWS_MATCHES(waiting.run(3, 3), Error, HasCode(ErrorCode::archive_timeout));
}

TEST_CASE("the hint of a timeout is what the server knows", "[engine][wal_wait][bug-59]")
{
    const Waiting waiting;
    FakeSession session;
    SECTION("failing commands")
    {
        session.archiver = {12, waiting.name(2), ""};
        CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("12 failed"));
    }
    SECTION("failing for a later one, after this was archived")
    {
        session.archiver = {12, waiting.name(4), waiting.name(3)};
        CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("says that it archived"));
    }
    SECTION("archived elsewhere")
    {
        session.archiver = {0, "", waiting.name(3)};
        CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("says that it archived"));
    }
    SECTION("switched off, which the failures are older than")
    {
        session.settings["archive_mode"] = "off";
        session.archiver = {12, waiting.name(2), ""};
        CHECK_THAT(failure_of(waiting, &session).hint(),
                   Catch::Contains("set archive_mode = on") && !Catch::Contains("12 failed"));
    }
    SECTION("slow")
    {
        session.archiver = {0, "", waiting.name(2)};
        CHECK_THAT(failure_of(waiting, &session).hint(),
                   Catch::Contains("archived up to '000000010000000000000002'"));
    }
    SECTION("gone")
    {
        session.is_gone = true;
        CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("still running"));
    }
    CHECK(failure_of(waiting, &session).code() == ErrorCode::archive_timeout);
}

TEST_CASE("a segment that comes late is enough", "[engine][wal_wait]")
{
    Waiting waiting;
    waiting.wait.timeout_milliseconds = 60000;
    std::thread archiver([&] {
        sleep_milliseconds(60);
        waiting.push(waiting.name(3), make_segment());
    });
    CHECK_NOTHROW(waiting.run(3, 3));
    archiver.join();
}

TEST_CASE("a segment that is there twice with different contents is an error",
          "[engine][wal_wait][bug-18]")
{
    Waiting waiting;
    waiting.push(waiting.name(3), make_segment("one"));
    Waiting other;
    other.push(waiting.name(3), make_segment("two"));
    const std::string path = other.objects(other.first).at(0);
    waiting.first.replace(path, other.first.read(path));
    CHECK_THROWS_MATCHES(waiting.run(3, 3), Error, HasCode(ErrorCode::archive_duplicate));
}

TEST_CASE("a signal ends the wait, and so does an archive that cannot be listed",
          "[engine][wal_wait][bug-24][bug-57]")
{
    Waiting waiting;
    waiting.wait.timeout_milliseconds = 60000;
    SECTION("a signal")
    {
        set_pending_signal(SIGTERM);
        CHECK_THROWS_MATCHES(waiting.run(3, 3), Error, HasCode(ErrorCode::terminated));
        set_pending_signal(0);
    }
    SECTION("a failure")
    {
        waiting.fault.code = ErrorCode::service;
        waiting.fault.fail_at = waiting.fault.count + 1;
        CHECK_THROWS_MATCHES(waiting.run(3, 3), Error, HasCode(ErrorCode::service));
    }
}

TEST_CASE("the hint of a timeout is the stop file that keeps archive-push from running",
          "[engine][wal_wait][bug-59]")
{
    Waiting waiting;
    waiting.wait.lock_path = waiting.directory.path();
    FakeSession session;
    session.archiver = {12, waiting.name(2), ""};
    const Spool spool(waiting.directory.path(), kStanza, SpoolFolder::out);
    spool.prepare();
    spool.write_error(Spool::kGlobal, Error(ErrorCode::repo_invalid, "the disk is away"));
    waiting.wait.spool_path = waiting.directory.path();
    create_stop_file(waiting.wait.lock_path, "another");
    CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("the disk is away"));

    create_stop_file(waiting.wait.lock_path, GENERATE(std::string(kStanza), ""));

    const Error failure = failure_of(waiting, &session);
    CHECK(failure.code() == ErrorCode::archive_timeout);
    CHECK_THAT(failure.hint(),
               Catch::Contains("stop file exists for") && Catch::Contains("the start command") &&
                   !Catch::Contains("the disk"));
}

TEST_CASE("the hint of a timeout is what archive-push left in the spool, or that WAL was dropped",
          "[engine][wal_wait][bug-59][bug-20]")
{
    Waiting waiting;
    waiting.wait.spool_path = waiting.directory.path();
    FakeSession session;
    session.archiver = {12, waiting.name(2), ""};
    const Spool spool(waiting.directory.path(), kStanza, SpoolFolder::out);
    spool.prepare();
    spool.write_error(waiting.name(4), Error(ErrorCode::crypto, "of another segment"));
    CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("12 failed"));

    spool.write_error(Spool::kGlobal, Error(ErrorCode::repo_invalid, "the disk is away"));
    CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("[103] the disk is away"));

    repository::write_gap(*waiting.repository,
                          kStanza,
                          waiting.cluster.id,
                          {waiting.name(3), "the queue was full", 1, "db1"});
    CHECK_THAT(failure_of(waiting, &session).hint(), Catch::Contains("the queue was full"));
}
