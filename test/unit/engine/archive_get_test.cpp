// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/archive_fixture.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

// A segment in two repositories.
struct TwoCopies : ArchiveRun {
    TwoCopies()
    {
        add_second();
        push(kSegmentName, make_segment());
    }
    void damage(const MemoryRepository& memory) const { memory.flip(objects(memory).at(0), 300); }
};

} // namespace

TEST_CASE("a file that is in no repository is proved absent", "[engine][archive][bug-24]")
{
    ArchiveRun run;
    run.add_second();
    run.push("000000010000000000000003.partial", make_segment());
    CHECK(run.get(kSegmentName) == "(none)");
    CHECK(run.get("00000002.history") == "(none)");
}

TEST_CASE("the first good copy is taken, whichever repository has it", "[engine][archive][bug-24]")
{
    TwoCopies run;
    SECTION("both") {}
    SECTION("the first is damaged")
    {
        run.damage(run.first);
    }
    SECTION("the first lost it")
    {
        run.first.storage->remove(run.objects(run.first).at(0));
    }
    SECTION("the second is damaged")
    {
        run.damage(*run.second);
    }
    SECTION("the first was cut short")
    {
        const std::string path = run.objects(run.first).at(0);
        const std::size_t size = GENERATE(as<std::size_t>(), 0, 10, 100000);
        const Buffer whole = run.first.read(path);
        run.first.replace(path, whole.view().first(size));
    }
    CHECK((run.get(kSegmentName) == make_segment()));
}

TEST_CASE("no good copy is an error, not an absence", "[engine][archive][bug-24]")
{
    TwoCopies run;
    SECTION("both are damaged")
    {
        run.damage(run.first);
        run.damage(*run.second);
    }
    SECTION("one is damaged and the other lost it")
    {
        run.damage(run.first);
        run.second->storage->remove(run.objects(*run.second).at(0));
    }
    SECTION("one lost it and the other cannot be read")
    {
        run.second->storage->remove(run.objects(*run.second).at(0));
        run.fault.fail_at = run.fault.count + 1;
        run.fault.code = ErrorCode::service;
        run.fault.stay_broken = true;
    }
    CHECK_THROWS_MATCHES(run.get(kSegmentName), Error, HasCode(ErrorCode::repo_invalid));
    CHECK_FALSE(std::filesystem::exists(run.directory / "RECOVERYXLOG"));
}

TEST_CASE("no failure on the way is taken for the end of the archive", "[engine][archive][bug-24]")
{
    const bool stays_broken = GENERATE(false, true);
    const auto code = GENERATE(ErrorCode::service, ErrorCode::file_missing, ErrorCode::file_read);
    ArchiveRun run(GENERATE(repository::CipherSetting(), gcm_setting()));
    run.options.compress_level = 1;
    run.push(kSegmentName, make_segment());
    run.fault.code = code;
    run.fault.stay_broken = stays_broken;
    std::uint64_t failures = 0;
    for (std::uint64_t n = 1;; ++n) {
        run.fault.count = 0;
        run.fault.fail_at = n;
        CAPTURE(n, static_cast<int>(code));
        try {
            const std::string got = run.get(kSegmentName);
            CHECK((got == make_segment()));
            if (run.fault.count < n) {
                break;
            }
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::repo_invalid);
            ++failures;
        }
        REQUIRE(n < 100);
    }
    CHECK(failures > 3);
}

TEST_CASE("different files under one name are an error", "[engine][archive][bug-18]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment("one"));
    ArchiveRun other;
    other.push(kSegmentName, make_segment("two"));
    SECTION("in two repositories")
    {
        CHECK_THROWS_MATCHES(
            run.get_from_all(kSegmentName,
                             {{1, run.repository.get()}, {2, other.repository.get()}}),
            Error,
            HasCode(ErrorCode::archive_duplicate));
    }
    SECTION("in one")
    {
        const std::string path = other.objects(other.first).at(0);
        run.first.replace(path, other.first.read(path));
        CHECK_THROWS_MATCHES(run.get(kSegmentName), Error, HasCode(ErrorCode::archive_duplicate));
    }
}

TEST_CASE("one segment stored plain and compressed is one segment", "[engine][archive][bug-18]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    ArchiveRun other;
    other.options.compress_level = 1;
    other.push(kSegmentName, make_segment());
    const std::string path = other.objects(other.first).at(0);
    run.first.replace(path, other.first.read(path));
    REQUIRE(run.objects(run.first).size() == 2);
    CHECK((run.get(kSegmentName) == make_segment()));
}

TEST_CASE("the WAL of another cluster is not served", "[engine][archive][bug-19]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    SECTION("another system identifier")
    {
        run.control.system_identifier = 1;
    }
    SECTION("another version")
    {
        run.control.major = 16;
    }
    CHECK(run.get(kSegmentName) == "(none)");
}

TEST_CASE("WAL is found in every generation of the same cluster", "[engine][archive]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    repository::Cluster later = run.cluster;
    later.id.number = 2;
    repository::write_cluster(*run.first.repository, kStanza, later);
    CHECK((run.get(kSegmentName) == make_segment()));
}

TEST_CASE("the destination is replaced at once or not at all", "[engine][archive][bug-26]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    const std::string destination = run.directory / "pg_wal/RECOVERYXLOG";
    CHECK_THROWS_AS(get_wal({kStanza, kSegmentName, destination}, run.control, run.sources()),
                    Error);
    std::filesystem::create_directory(run.directory / "pg_wal");
    write_file_durably(destination, as_bytes("old"));
    write_file_durably(destination + ".pgstrata.tmp", as_bytes("left by a crash, and longer"));

    CHECK(get_wal({kStanza, kSegmentName, destination}, run.control, run.sources()));

    CHECK((read_text_file(destination) == make_segment()));
    CHECK_FALSE(std::filesystem::exists(destination + ".pgstrata.tmp"));
    std::filesystem::remove(destination);
    std::filesystem::create_directories(destination + "/taken");
    CHECK_THROWS_MATCHES(get_wal({kStanza, kSegmentName, destination}, run.control, run.sources()),
                         Error,
                         HasCode(ErrorCode::file_move));
    CHECK_FALSE(std::filesystem::exists(destination + ".pgstrata.tmp"));
}

TEST_CASE("what another process is fetching to the same place is left alone",
          "[engine][archive][bug-24][bug-26]")
{
    ArchiveRun run;
    run.push(kSegmentName, make_segment());
    const std::string destination = run.directory / "RECOVERYXLOG";
    const std::string temporary = destination + ".pgstrata.tmp";
    write_file_durably(temporary, as_bytes("half"));
    const FileDescriptor other = open_file(temporary, O_WRONLY);
    REQUIRE(::flock(other.get(), LOCK_EX | LOCK_NB) == 0);

    CHECK(get_wal({kStanza, kSegmentName, destination}, run.control, run.sources()));

    CHECK((read_text_file(destination) == make_segment()));
    CHECK(read_text_file(temporary) == "half");
    const auto left = std::filesystem::directory_iterator(run.directory.path());
    CHECK(std::count_if(begin(left), end(left), [](const auto& entry) {
              return entry.path().string().ends_with(".pgstrata.tmp");
          }) == 1);
}
