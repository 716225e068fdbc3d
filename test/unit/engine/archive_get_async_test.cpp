// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/archive_fixture.hpp"
#include "unit/engine/wal_names.hpp"

#include "pgstrata/engine/archive_get_async.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/cancel.hpp"

#include <unistd.h>

#include <mutex>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMebibyte = 1U << 20U;
constexpr auto kPlace = "0123456789abcdef";

std::string entry(const std::string& wal, char digit = 'a')
{
    return to_string(QueueEntry{wal, std::string(40, digit), kPlace});
}

std::string digest_of(std::string_view content)
{
    return repository::wal_digest(as_bytes(content));
}

// A queue beside a data directory.
struct QueueFixture {
    QueueFixture() : spool(directory.path(), "main", SpoolFolder::in) { spool.prepare(); }

    std::string put(const std::string& content, const std::string& wal = kSegmentName) const
    {
        const std::string name = to_string(QueueEntry{wal, digest_of(make_segment()), kPlace});
        std::ofstream(spool.path(name), std::ios::binary) << content;
        return name;
    }
    bool take(const std::string& wal = kSegmentName, const std::string& place = kPlace) const
    {
        return take_from_queue(spool, {wal, place, directory / "RECOVERYXLOG"}, control);
    }

    WarningLog warnings;
    TemporaryDirectory directory;
    Spool spool;
    postgres::ControlFile control = postgres::parse_control_file(make_control_bytes());
};

} // namespace

TEST_CASE("entries of the queue go both ways", "[engine][async]")
{
    const QueueEntry wanted = {segment(3), std::string(40, 'b'), kPlace};
    const auto parsed = parse_queue_entry(to_string(wanted));
    REQUIRE(parsed);
    CHECK(parsed->wal == wanted.wal);
    CHECK(parsed->digest == wanted.digest);
    CHECK(parsed->place == wanted.place);
    const std::string other = GENERATE(as<std::string>(),
                                       "",
                                       "000000010000000000000003",
                                       "000000010000000000000003.ok",
                                       "000000010000000000000003.4711.part",
                                       "000000010000000000000003.4711.part.pgstrata.tmp",
                                       "global.error",
                                       "000000010000000000000003-" + std::string(40, 'b') + ".",
                                       "000000010000000000000003-" + std::string(39, 'b') + "..0");
    CAPTURE(other);
    CHECK_FALSE(parse_queue_entry(other));
}

TEST_CASE("a queue has at least two segments", "[engine][async][bug-22]")
{
    const auto [bytes, size, length] = GENERATE(table<std::uint64_t, std::uint32_t, std::size_t>({
        {0, 16 * kMebibyte, 2},
        {std::uint64_t{128} * kMebibyte, 16 * kMebibyte, 8},
        {std::uint64_t{128} * kMebibyte, kMebibyte, 128},
        {std::uint64_t{128} * kMebibyte, 1024 * kMebibyte, 2},
        {std::uint64_t{47} * kMebibyte, 16 * kMebibyte, 2},
        {std::uint64_t{48} * kMebibyte, 16 * kMebibyte, 3},
        {std::uint64_t{1} << 52U, kMebibyte, 65536},
    }));
    CHECK(queue_length(bytes, size) == length);
}

TEST_CASE("the queue goes on over the end of a WAL number", "[engine][async][bug-22]")
{
    CHECK(queue_names({1, 0xFE}, 3, 16 * kMebibyte) == Names{"0000000100000000000000FE",
                                                             "0000000100000000000000FF",
                                                             "000000010000000100000000"});
    CHECK(queue_names({0xA, 0xFFF}, 2, kMebibyte) ==
          Names{"0000000A0000000000000FFF", "0000000A0000000100000000"});
}

TEST_CASE("what to fetch and what to remove follows from what is wanted and what is there",
          "[engine][async][bug-21][bug-26]")
{
    const Names wanted = {segment(3), segment(4), segment(5), segment(6)};
    const std::string foreign =
        to_string(QueueEntry{segment(4), std::string(40, 'a'), "ffffffffffffffff"});
    const auto [files, fetch, remove, is_low] = GENERATE_COPY(table<Names, Names, Names, bool>({
        {{}, {segment(3), segment(4), segment(5), segment(6)}, {}, true},
        {{entry(segment(3)), entry(segment(4)), entry(segment(5)), entry(segment(6))},
         {},
         {},
         false},
        {{entry(segment(4)), entry(segment(5))}, {segment(3), segment(6)}, {}, false},
        {{entry(segment(5))}, {segment(3), segment(4), segment(6)}, {}, true},
        // Behind us, far ahead, and of another timeline.
        {{entry(segment(2)), entry(segment(7)), entry("000000020000000000000004")},
         {segment(3), segment(4), segment(5), segment(6)},
         {entry(segment(2)), entry(segment(7)), entry("000000020000000000000004")},
         true},
        // From other repositories.
        {{foreign}, {segment(3), segment(4), segment(5), segment(6)}, {foreign}, true},
        // Marks and what was cut off.
        {{entry(segment(3)), segment(4) + ".ok", segment(5) + ".9.part", "global.error"},
         {segment(4), segment(5), segment(6)},
         {segment(4) + ".ok", segment(5) + ".9.part", "global.error"},
         true},
    }));

    const QueuePlan plan = plan_queue(wanted, files, kPlace);

    CHECK(plan.fetch == fetch);
    CHECK(plan.remove == remove);
    CHECK(is_queue_low(wanted, files, kPlace) == is_low);
}

TEST_CASE("a good segment is moved out of the queue", "[engine][async][bug-17]")
{
    const QueueFixture fixture;
    fixture.put(make_segment());

    CHECK(fixture.take());

    CHECK((read_text_file(fixture.directory / "RECOVERYXLOG") == make_segment()));
    CHECK(fixture.spool.names().empty());
    CHECK_FALSE(fixture.take());
    CHECK_FALSE(fs::exists(fixture.directory / "RECOVERYXLOG.pgstrata.tmp"));
}

TEST_CASE("a segment goes to another filesystem as a copy", "[engine][async]")
{
    if (::access("/dev/shm", W_OK) != 0) {
        return; // there is no other filesystem here
    }
    const QueueFixture fixture;
    fixture.put(make_segment());
    const std::string destination = fmt::format("/dev/shm/pgstrata-test-{}", ::getpid());

    const bool is_taken =
        take_from_queue(fixture.spool, {kSegmentName, kPlace, destination}, fixture.control);

    CHECK(is_taken);
    CHECK((read_text_file(destination) == make_segment()));
    CHECK(fixture.spool.names().empty());
    fs::remove(destination);
}

TEST_CASE("a segment that is not good is thrown away", "[engine][async][bug-17][bug-19]")
{
    QueueFixture fixture;
    std::string content = make_segment();
    std::string wal = kSegmentName;
    SECTION("damaged")
    {
        content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
    }
    SECTION("empty")
    {
        content.clear();
    }
    SECTION("cut off")
    {
        content.resize(content.size() - 1);
    }
    SECTION("too long")
    {
        content += 'x';
    }
    SECTION("of another place")
    {
        wal = segment(4);
    }
    SECTION("of another cluster")
    {
        fixture.control.system_identifier = 1;
    }
    fixture.put(content, wal);

    CHECK_FALSE(fixture.take(wal));

    CHECK(fixture.spool.names().empty());
    CHECK_FALSE(fs::exists(fixture.directory / "RECOVERYXLOG"));
    CHECK_THAT(fixture.warnings.text(), Catch::Contains("was fetched ahead and cannot be used"));
}

TEST_CASE("a segment stays in the queue when the destination cannot be written", "[engine][async]")
{
    const QueueFixture fixture;
    const std::string name = fixture.put(make_segment());
    const auto [destination, code] = GENERATE(table<std::string, ErrorCode>({
        {"missing/RECOVERYXLOG", ErrorCode::file_missing},
        {"directory", ErrorCode::file_move},
    }));
    fs::create_directory(fixture.directory / "directory");

    CHECK_THROWS_MATCHES(take_from_queue(fixture.spool,
                                         {kSegmentName, kPlace, fixture.directory / destination},
                                         fixture.control),
                         Error,
                         HasCode(code));

    CHECK(fixture.spool.names() == Names{name});
}

TEST_CASE("what other repositories gave is left alone", "[engine][async]")
{
    const QueueFixture fixture;
    fixture.put(make_segment());
    CHECK_FALSE(fixture.take(kSegmentName, "ffffffffffffffff"));
    CHECK_FALSE(fixture.take(segment(4)));
    CHECK(fixture.spool.names().size() == 1);
}

TEST_CASE("segments are fetched up to the first that is absent or fails", "[engine][async][bug-24]")
{
    const QueueFixture fixture;
    std::mutex mutex;
    Names asked;
    FetchRun run{.spool = fixture.spool};
    run.place = kPlace;
    run.wanted = queue_names({1, 3}, 5, fixture.control.wal_segment_size);
    run.check = check_cancelled;
    const std::string last = run.wanted[2];
    const bool fails = GENERATE(false, true);
    run.fetch = [&](const std::string& wal, const std::string& path) {
        const std::lock_guard lock(mutex);
        asked.push_back(wal);
        // Whoever needs it now can see that it is coming.
        CHECK(is_being_fetched(fixture.spool, wal, ::getpid()));
        if (wal == last && fails) {
            raise(ErrorCode::repo_invalid, "away");
        }
        std::ofstream(path) << wal;
        return wal == last ? std::nullopt : std::optional(std::string(40, 'a'));
    };
    fixture.spool.write_text("global.error", "x");
    fixture.spool.write_text(entry(segment(1)), "behind");

    CHECK(fetch_ahead(run) == 2);

    CHECK(asked == Names{run.wanted[0], run.wanted[1], run.wanted[2]});
    CHECK(fixture.spool.names() ==
          Names{entry(run.wanted[0]), entry(run.wanted[1]), last + (fails ? ".error" : ".ok")});
    CHECK(fixture.spool.has_absent(last) == !fails);
    CHECK_FALSE(is_being_fetched(fixture.spool, last, ::getpid()));
}

TEST_CASE("what is in the queue is not fetched again", "[engine][async]")
{
    const QueueFixture fixture;
    FetchRun run{.spool = fixture.spool};
    run.place = kPlace;
    run.workers = 3;
    run.wanted = {segment(3), segment(4), segment(5)};
    run.check = check_cancelled;
    run.fetch = [&](const std::string&, const std::string& path) {
        std::ofstream(path) << "x";
        return std::optional(std::string(40, 'a'));
    };
    CHECK(fetch_ahead(run) == 3);
    CHECK(fetch_ahead(run) == 0);
    CHECK(fixture.spool.names() == Names{entry(segment(3)), entry(segment(4)), entry(segment(5))});
}
