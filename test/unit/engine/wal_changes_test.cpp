// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"
#include "unit/engine/fake_session.hpp"
#include "unit/postgres/wal_summary_builder.hpp"

#include "pgstrata/engine/wal_changes.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/time.hpp"

#include <csignal>
#include <filesystem>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using postgres::Fork;
using postgres::Lsn;
using postgres::SummarizerState;

namespace {

namespace fs = std::filesystem;

using Blocks = std::vector<std::uint32_t>;

// A cluster on timeline 3, which 1 was left for at 0x200; the backups started at 0x100 and 0x300.
struct Summarized {
    Summarized()
    {
        fs::create_directories(directory / "pg_wal/summaries");
        write_file_durably(directory / "pg_wal/00000003.history",
                           as_bytes("1\t0/200\tno recovery target specified\n"));
        write_file_durably(directory / "pg_wal/summaries/temp.summary", as_bytes("half"));
        request = {.data_directory = directory.path(),
                   .prior_timeline = 1,
                   .prior_start = {0x100},
                   .prior_stop = {0x180},
                   .timeline = 3,
                   .start = {0x300},
                   .timeout_milliseconds = 150};
        session.version = 17;
        session.settings["summarize_wal"] = "on";
        session.summarizer = {3, {0x300}, {0x300}, true};
    }

    std::string path(const postgres::WalSummaryName& name) const
    {
        return directory / ("pg_wal/summaries/" + to_string(name));
    }
    void add(const postgres::WalSummaryName& name, std::uint16_t block)
    {
        const SummaryEntry entry{.relation = 100, .chunks = {{block}}};
        write_file_durably(path(name), WalSummaryBuilder().add(entry).end().sealed());
    }
    // Three files: blocks 1, 2 and 3.
    void add_all()
    {
        add({1, {0x80}, {0x140}}, 1);
        add({1, {0x140}, {0x200}}, 2);
        add({3, {0x200}, {0x300}}, 3);
    }
    WalChanges read() { return read_wal_changes(request, session); }

    void check_unknown(const std::string& reason)
    {
        const WalChanges changes = read();
        CHECK_FALSE(changes.blocks);
        CHECK(changes.files == 0);
        CHECK_THAT(changes.reason, Catch::Contains(reason));
    }
    // The server's summarizer goes through these states, one for each question; the last one stays.
    void script(std::vector<SummarizerState> states)
    {
        session.on_summarizer = [this, states = std::move(states)] {
            session.summarizer = states[std::min(asked, states.size() - 1)];
            ++asked;
        };
    }

    TemporaryDirectory directory;
    FakeSession session;
    WalChangesRequest request;
    std::size_t asked = 0;
};

} // namespace

TEST_CASE("what changed between two backups is read from the WAL summaries",
          "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    // Others, before, after and beside the line.
    cluster.add({1, {0x40}, {0x80}}, 90);
    cluster.add({1, {0x200}, {0x240}}, 91);
    cluster.add({2, {0x100}, {0x300}}, 92);
    cluster.add({3, {0x300}, {0x400}}, 93);

    const WalChanges changes = cluster.read();

    REQUIRE(changes.blocks);
    CHECK(changes.reason.empty());
    CHECK(changes.files == 3);
    CHECK(changes.blocks->forks().size() == 1);
    CHECK(changes.blocks->find(1663, 5, 100, Fork::main)->blocks == Blocks{1, 2, 3});
}

TEST_CASE("many summaries are all merged", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.request.prior_timeline = 3;
    cluster.request.prior_start = {0x1000};
    cluster.request.prior_stop = {0x1000};
    cluster.request.start = {0x1000 + 37};
    cluster.session.summarizer.summarized = cluster.request.start;
    Blocks expected;
    for (std::uint16_t i = 0; i < 37; ++i) {
        cluster.add({3, {0x1000U + i}, {0x1001U + i}}, i);
        expected.push_back(i);
    }

    const WalChanges changes = cluster.read();

    REQUIRE(changes.blocks);
    CHECK(changes.files == 37);
    CHECK(changes.blocks->find(1663, 5, 100, Fork::main)->blocks == expected);
}

TEST_CASE("pg_wal may be a link", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    fs::rename(cluster.directory / "pg_wal", cluster.directory / "elsewhere");
    fs::create_symlink(cluster.directory / "elsewhere", cluster.directory / "pg_wal");

    CHECK(cluster.read().blocks);
}

TEST_CASE("a server that makes no summaries is told at once", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.session.on_summarizer = [] { FAIL("asked"); };

    SECTION("it cannot")
    {
        cluster.session.version = 16;
        cluster.check_unknown("PostgreSQL 16 has no WAL summaries");
    }
    SECTION("it does not")
    {
        const std::string value = GENERATE("off", "");
        cluster.session.settings["summarize_wal"] = value;
        cluster.check_unknown("summarize_wal is off");
    }
}

TEST_CASE("a prior backup that was left behind is told with the reason",
          "[engine][wal-changes][bug-21]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.session.on_summarizer = [] { FAIL("asked"); };

    SECTION("it ended after the switch")
    {
        cluster.request.prior_stop = {0x201};
        cluster.check_unknown("timeline 1 was left at 0/200");
    }
    SECTION("its timeline is of another branch")
    {
        cluster.request.prior_timeline = 2;
        cluster.check_unknown("timeline 2 of the prior backup is not in the history");
    }
    SECTION("there is no history")
    {
        fs::remove(cluster.directory / "pg_wal/00000003.history");
        cluster.check_unknown("00000003.history");
    }
    SECTION("the history is damaged")
    {
        write_file_durably(cluster.directory / "pg_wal/00000003.history", as_bytes("x\n"));
        cluster.check_unknown("history of timeline 3");
    }
}

TEST_CASE("the history is not needed where the timeline is the same", "[engine][wal-changes]")
{
    Summarized cluster;
    fs::remove(cluster.directory / "pg_wal/00000003.history");
    cluster.add({3, {0x200}, {0x300}}, 3);
    cluster.request.prior_timeline = 3;
    cluster.request.prior_start = {0x200};
    cluster.request.prior_stop = {0x240};

    CHECK(cluster.read().blocks);
}

TEST_CASE("a summary that is missing or damaged is told", "[engine][wal-changes][bug-58]")
{
    Summarized cluster;
    cluster.add_all();
    const std::string path = cluster.path({1, {0x140}, {0x200}});

    SECTION("missing")
    {
        fs::remove(path);
        cluster.check_unknown("no WAL summary of timeline 1 from 0/140 to 0/200");
    }
    SECTION("damaged")
    {
        std::string bytes = read_text_file(path);
        bytes[30] = static_cast<char>(bytes[30] ^ 1);
        write_file_durably(path, as_bytes(bytes));
        cluster.check_unknown(path + " is invalid: the checksum is wrong");
    }
    SECTION("cut")
    {
        write_file_durably(path, as_bytes("{\023+e"));
        cluster.check_unknown(path);
    }
    SECTION("vanished after the listing")
    {
        fs::remove(path);
        fs::create_symlink("nowhere", path);
        cluster.check_unknown(path);
    }
    SECTION("too large")
    {
        fs::resize_file(path, postgres::kWalSummarySizeLimit + 1);
        cluster.check_unknown("is larger than");
    }
    SECTION("none at all")
    {
        fs::remove_all(cluster.directory / "pg_wal/summaries");
        cluster.check_unknown("pg_wal/summaries");
    }
}

TEST_CASE("the summarizer is waited for as long as it goes on", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    // Longer in all than the timeout.
    cluster.script({{0, {0}, {0}, true},
                    {1, {0x100}, {0x1F0}, true},
                    {1, {0x400}, {0x500}, true}, // far, but on the timeline before
                    {3, {0x200}, {0x200}, true},
                    {3, {0x200}, {0x2FF}, true},
                    {3, {0x300}, {0x300}, true}});
    const auto begin = monotonic_milliseconds();

    const WalChanges changes = cluster.read();

    CHECK(changes.reason.empty());
    CHECK(changes.blocks);
    CHECK(cluster.asked == 6);
    CHECK(monotonic_milliseconds() - begin > cluster.request.timeout_milliseconds);
}

TEST_CASE("the summaries are listed after the wait", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.script({{3, {0x200}, {0x200}, true}, {3, {0x300}, {0x300}, true}});
    const auto next = cluster.session.on_summarizer;
    cluster.session.on_summarizer = [&] {
        next();
        if (cluster.asked == 2) {
            cluster.add_all();
        }
    };

    CHECK(cluster.read().blocks);
}

TEST_CASE("a summarizer that has gone on to a later timeline is done with this one",
          "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.session.summarizer = {4, {0x280}, {0x280}, true};

    CHECK(cluster.read().blocks);
}

TEST_CASE("a summarizer that is done need not run any more", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.session.summarizer.is_running = false;

    CHECK(cluster.read().blocks);
}

TEST_CASE("a summarizer that makes no progress is given up", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();

    SECTION("it stays where it is")
    {
        cluster.script({{3, {0x200}, {0x2F0}, true}});
        cluster.check_unknown("does not get beyond 0/2F0 on timeline 3, but this backup started "
                              "at 0/300 on timeline 3");
    }
    SECTION("it stays before the switch")
    {
        cluster.script({{1, {0x300}, {0x300}, true}});
        cluster.check_unknown("does not get beyond 0/300 on timeline 1");
    }
    SECTION("it fails and begins again")
    {
        cluster.session.on_summarizer = [&] {
            const std::uint64_t pending = ++cluster.asked % 2 == 0 ? 0x200 : 0x280;
            cluster.session.summarizer = {3, {0x200}, {pending}, true};
        };
        cluster.check_unknown("does not get beyond 0/280");
    }
    CHECK(cluster.asked > 2);
}

TEST_CASE("a summarizer that does not run is not waited for", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.script({{3, {0x200}, {0x2F0}, true}, {3, {0x200}, {0x200}, false}});

    cluster.check_unknown("the server's WAL summarizer is not running");
    CHECK(cluster.asked == 2);
}

TEST_CASE("a server that refuses to tell its summarizer's state is a reason",
          "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();
    cluster.session.on_summarizer = [] { raise(ErrorCode::db_query, "permission denied"); };

    cluster.check_unknown("permission denied");
}

TEST_CASE("a lost connection and a signal end the reading of changes", "[engine][wal-changes]")
{
    Summarized cluster;
    cluster.add_all();

    SECTION("connection")
    {
        cluster.session.on_summarizer = [] { raise(ErrorCode::db_connect, "gone"); };
        CHECK_THROWS_MATCHES(cluster.read(), Error, HasCode(ErrorCode::db_connect));
    }
    SECTION("signal while waiting")
    {
        cluster.session.summarizer.summarized = {0x2F0};
        cluster.session.on_summarizer = [] { set_pending_signal(SIGTERM); };
        CHECK_THROWS_MATCHES(cluster.read(), Error, HasCode(ErrorCode::terminated));
    }
    SECTION("signal while reading")
    {
        set_pending_signal(SIGTERM);
        CHECK_THROWS_MATCHES(cluster.read(), Error, HasCode(ErrorCode::terminated));
    }
    set_pending_signal(0);
}
