// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/engine/wal_names.hpp"

#include "pgstrata/engine/archive_push_async.hpp"
#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

Names names_of(const std::vector<ReadyFile>& files)
{
    Names names;
    for (const ReadyFile& file : files) {
        names.push_back(file.name);
    }
    return names;
}

// A pg_wal, a spool and a repository that notes what it gets.
struct PushFixture {
    PushFixture() : spool(directory.path(), "main", SpoolFolder::out), run{.spool = spool}
    {
        fs::create_directories(directory / "pg_wal/archive_status");
        spool.prepare();
        run.wal_directory = directory / "pg_wal";
        run.place = "0123";
        run.batch_size = 1000;
        run.workers = 2;
        run.check = check_cancelled;
        run.push = [this](const ReadyFile& file, std::size_t) {
            const std::lock_guard lock(mutex);
            if (file.name == failing) {
                raise(ErrorCode::command, "no room");
            }
            pushed.push_back(file.name);
            return warning;
        };
        run.drop = [this](const ReadyFile& file) { dropped.push_back(file.name); };
    }
    void add(const std::string& name, std::string_view content = "0123456789") const
    {
        std::ofstream(directory / ("pg_wal/" + name)) << content;
        std::ofstream(directory / ("pg_wal/archive_status/" + name + ".ready"));
    }
    bool is_marked(const std::string& name) const
    {
        const auto mark = spool.read_stored(name);
        const auto file = look_at_wal(directory / ("pg_wal/" + name));
        return mark && file && mark->identity == mark_identity(*file, run.place);
    }

    WarningLog warnings;
    TemporaryDirectory directory;
    Spool spool;
    PushRun run;
    std::mutex mutex;
    std::string failing;
    std::string warning;
    Names pushed;
    Names dropped;
};

} // namespace

TEST_CASE("what is left to push is planned from what is ready and what is marked",
          "[engine][async][bug-26]")
{
    using Marks = std::map<std::string, std::string>;
    const auto [ready, marks, push, forget] = GENERATE(table<Names, Marks, Names, Names>({
        {{}, {}, {}, {}},
        {{segment(1), segment(2)}, {}, {segment(1), segment(2)}, {}},
        {{segment(2), segment(1)}, {}, {segment(1), segment(2)}, {}},
        {{segment(1), segment(2)}, {{segment(1), "id"}}, {segment(2)}, {}},
        // Of another file of the name, of other repositories, or not to be believed.
        {{segment(1)}, {{segment(1), "other"}}, {segment(1)}, {segment(1)}},
        {{segment(1)}, {{segment(1), ""}}, {segment(1)}, {segment(1)}},
        // Not ready any more.
        {{segment(2)}, {{segment(1), "id"}, {segment(2), "id"}}, {}, {segment(1)}},
        // Timelines first: PostgreSQL asks for them first.
        {{segment(1), "00000002.history", "00000003.history"},
         {},
         {"00000002.history", "00000003.history", segment(1)},
         {}},
        {{segment(1) + ".00000028.backup", segment(1), segment(2) + ".partial"},
         {},
         {segment(1), segment(1) + ".00000028.backup", segment(2) + ".partial"},
         {}},
    }));
    std::vector<ReadyFile> files;
    for (const std::string& name : ready) {
        files.push_back({name, 10, "id"});
    }

    const PushPlan plan = plan_push(files, marks);

    CHECK(names_of(plan.push) == push);
    CHECK(plan.forget == forget);
}

TEST_CASE("a queue is full when more than its limit waits", "[engine][async][bug-20]")
{
    const std::vector<ReadyFile> files = {{segment(1), 16, ""}, {segment(2), 16, ""}};
    CHECK_FALSE(is_queue_full(files, std::nullopt));
    CHECK_FALSE(is_queue_full(files, 32));
    CHECK(is_queue_full(files, 31));
    CHECK_FALSE(is_queue_full({}, 0));
    CHECK(is_queue_full(files, 0));
}

TEST_CASE("only WAL files that are there and marked ready count", "[engine][async][bug-27]")
{
    const PushFixture fixture;
    fixture.add(segment(2));
    fixture.add(segment(1));
    fixture.add("00000002.history");
    fixture.add("nonsense");
    std::ofstream(fixture.directory / ("pg_wal/archive_status/" + segment(3) + ".ready"));
    std::ofstream(fixture.directory / ("pg_wal/archive_status/" + segment(4) + ".done"));
    std::ofstream(fixture.directory / ("pg_wal/" + segment(4))) << "x";

    const auto ready = list_ready(fixture.directory / "pg_wal", "place");

    CHECK(names_of(ready) == Names{segment(1), segment(2), "00000002.history"});
    CHECK(ready.front().size == 10);
    CHECK(ready.front().identity != list_ready(fixture.directory / "pg_wal", "other")[0].identity);
    CHECK_THROWS_MATCHES(
        list_ready(fixture.directory.path(), ""), Error, HasCode(ErrorCode::path_open));
}

TEST_CASE("all that waits is pushed and marked", "[engine][async]")
{
    PushFixture fixture;
    fixture.run.workers = GENERATE(as<std::size_t>(), 1, 4);
    fixture.run.batch_size = GENERATE(as<std::uint64_t>(), 1, 25, 1000);
    for (unsigned number = 1; number <= 9; ++number) {
        fixture.add(segment(number));
    }

    CHECK(push_waiting(fixture.run).pushed == 9);

    std::ranges::sort(fixture.pushed);
    CHECK(fixture.pushed.size() == 9);
    CHECK(std::ranges::adjacent_find(fixture.pushed) == fixture.pushed.end());
    for (unsigned number = 1; number <= 9; ++number) {
        CHECK(fixture.is_marked(segment(number)));
    }
    CHECK(push_waiting(fixture.run).pushed == 0);
}

TEST_CASE("after a failure nothing more is begun, and the file is marked with it",
          "[engine][async][bug-26]")
{
    PushFixture fixture;
    fixture.run.workers = 1;
    fixture.failing = segment(3);
    for (unsigned number = 1; number <= 5; ++number) {
        fixture.add(segment(number));
    }

    const PushCount count = push_waiting(fixture.run);

    CHECK(count.pushed == 2);
    CHECK(count.failed == 1);
    CHECK(fixture.pushed == Names{segment(1), segment(2)});
    REQUIRE(fixture.spool.read_error(segment(3)));
    CHECK(fixture.spool.read_error(segment(3))->code() == ErrorCode::command);
    CHECK_FALSE(fixture.spool.read_stored(segment(3)));
    CHECK_FALSE(fixture.spool.read_stored(segment(4)));
}

TEST_CASE("a file that changes while it is pushed is not marked as stored",
          "[engine][async][bug-26]")
{
    PushFixture fixture;
    fixture.add(segment(1));
    fixture.run.push = [&](const ReadyFile& file, std::size_t) {
        fixture.add(file.name, "other");
        return std::string();
    };

    CHECK(push_waiting(fixture.run).failed == 1);

    CHECK_FALSE(fixture.spool.read_stored(segment(1)));
}

TEST_CASE("a warning waits beside the mark", "[engine][async]")
{
    PushFixture fixture;
    fixture.warning = "it was there already";
    fixture.add(segment(1));
    push_waiting(fixture.run);
    CHECK(fixture.spool.read_stored(segment(1))->warning == "it was there already");
}

TEST_CASE("what waits over the limit is dropped and marked, what is stored is not",
          "[engine][async][bug-20]")
{
    PushFixture fixture;
    fixture.run.queue_limit = 25;
    fixture.add(segment(1));
    push_waiting(fixture.run);
    REQUIRE(fixture.pushed == Names{segment(1)});
    for (unsigned number = 2; number <= 4; ++number) {
        fixture.add(segment(number));
    }

    CHECK(push_waiting(fixture.run).dropped == 3);

    CHECK(fixture.pushed == Names{segment(1)});
    CHECK(fixture.dropped == Names{segment(2), segment(3), segment(4)});
    CHECK_FALSE(fixture.spool.read_stored(segment(1))->warning);
    CHECK_THAT(*fixture.spool.read_stored(segment(2))->warning,
               Catch::Contains("dropped WAL file '" + segment(2) + "'"));
}

TEST_CASE("a drop that cannot be recorded is none", "[engine][async][bug-20]")
{
    PushFixture fixture;
    fixture.run.queue_limit = 5;
    fixture.add(segment(1));
    fixture.add(segment(2));
    fixture.run.drop = [](const ReadyFile& file) {
        if (file.name == segment(2)) {
            raise(ErrorCode::file_write, "full");
        }
    };
    CHECK_THROWS_MATCHES(push_waiting(fixture.run), Error, HasCode(ErrorCode::file_write));
    CHECK(fixture.spool.names() == Names{segment(1) + ".ok"});
}

TEST_CASE("a queue that overflows during a slow batch is dropped before the batch ends",
          "[engine][async][bug-20]")
{
    PushFixture fixture;
    fixture.run.workers = 1;
    fixture.run.queue_limit = 50;
    fixture.run.look_milliseconds = 0;
    for (unsigned number = 1; number <= 4; ++number) {
        fixture.add(segment(number));
    }
    const auto push = fixture.run.push;
    fixture.run.push = [&](const ReadyFile& file, std::size_t threads) {
        for (unsigned number = 5; number <= 9; ++number) {
            fixture.add(segment(number));
        }
        return push(file, threads);
    };

    push_waiting(fixture.run);

    CHECK(fixture.pushed == Names{segment(1)});
    CHECK(fixture.dropped.size() == 8);
}

TEST_CASE("what waits over the limit can be dropped by who is kept waiting",
          "[engine][async][bug-20]")
{
    PushFixture fixture;
    fixture.run.queue_limit = 15;
    fixture.add(segment(1));
    CHECK(drop_overflow(fixture.run) == 0);
    fixture.add(segment(2));

    CHECK(drop_overflow(fixture.run) == 2);
    CHECK(drop_overflow(fixture.run) == 0);

    CHECK(fixture.dropped == Names{segment(1), segment(2)});
    CHECK(fixture.is_marked(segment(1)));
}

TEST_CASE("a request to end leaves what was stored marked and nothing else",
          "[engine][async][bug-57]")
{
    PushFixture fixture;
    fixture.run.workers = 1;
    fixture.add(segment(1));
    fixture.add(segment(2));
    const auto push = fixture.run.push;
    fixture.run.push = [&](const ReadyFile& file, std::size_t threads) {
        set_pending_signal(SIGTERM);
        return push(file, threads);
    };

    CHECK_THROWS_MATCHES(push_waiting(fixture.run), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);

    CHECK(fixture.is_marked(segment(1)));
    CHECK(fixture.spool.names() == Names{segment(1) + ".ok"});
}

TEST_CASE("a file whose mark was just taken is not pushed again at once", "[engine][async]")
{
    PushFixture fixture;
    fixture.run.workers = 1;
    fixture.add(segment(1));
    fixture.add(segment(2));
    const auto push = fixture.run.push;
    fixture.run.batch_size = 1;
    fixture.run.push = [&](const ReadyFile& file, std::size_t threads) {
        if (file.name == segment(2)) {
            fixture.spool.remove(segment(1) + ".ok");
        }
        return push(file, threads);
    };

    SECTION("PostgreSQL notes it")
    {
        const auto drop_ready = [&] {
            if (fixture.pushed.size() == 2) {
                fs::remove(fixture.directory / ("pg_wal/archive_status/" + segment(1) + ".ready"));
            }
        };
        fixture.run.check = drop_ready;
        push_waiting(fixture.run);
        CHECK(fixture.pushed == Names{segment(1), segment(2)});
    }
    SECTION("PostgreSQL does not come to that")
    {
        push_waiting(fixture.run);
        CHECK(fixture.pushed == Names{segment(1), segment(2), segment(1)});
        CHECK(fixture.is_marked(segment(1)));
    }
}

TEST_CASE("leftovers are removed, but for marks and records of dropped WAL",
          "[engine][async][bug-26]")
{
    const PushFixture fixture;
    fixture.spool.write_stored(segment(1), {"id", {}});
    fixture.spool.write_error(segment(2), Error(ErrorCode::format, "x"));
    fixture.spool.write_error(Spool::kGlobal, Error(ErrorCode::format, "x"));
    fixture.spool.write_text(segment(3) + ".ok.01234567.pgstrata.tmp", "half");
    fixture.spool.write_text(segment(4) + ".gap", "{}");

    remove_leftovers(fixture.spool);

    CHECK(fixture.spool.names() == Names{segment(1) + ".ok", segment(4) + ".gap"});
    CHECK(read_marks(fixture.spool) == std::map<std::string, std::string>{{segment(1), "id"}});
}
