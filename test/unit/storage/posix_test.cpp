// SPDX-License-Identifier: PostgreSQL
#include "storage/posix_file.hpp"
#include "support/file_mode.hpp"
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"
#include "support/temporary_directory.hpp"
#include "support/umask.hpp"

#include "pgstrata/storage/posix.hpp"
#include "pgstrata/util/path.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

using namespace pgstrata;
using storage::Unfinished;
using storage::WriteMode;
using test::HasCode;
using test::mode_of;
using test::Umask;
namespace fs = std::filesystem;

namespace {

struct PosixFixture {
    std::unique_ptr<storage::Storage> make(Unfinished unfinished = Unfinished::nameless) const
    {
        return storage::make_posix_storage({.root = directory / "root"}, unfinished);
    }
    std::string at(const std::string& path) const { return directory / ("root/" + path); }

    test::TemporaryDirectory directory;
};

std::size_t entries_in(const std::string& path)
{
    const fs::directory_iterator entries(path);
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

} // namespace

TEST_CASE_METHOD(PosixFixture, "modes are applied whatever the umask", "[storage]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const auto mask = GENERATE(0U, 0077U, 0027U);
    const Umask umask(mask);
    const auto store = storage::make_posix_storage(
        {.root = directory / "root", .file_mode = 0664, .directory_mode = 0775}, unfinished);

    test::write_text(*store, "a/b/c", "x");

    CHECK(mode_of(at("a/b/c")) == 0664);
    CHECK((mode_of(at("a/b")) & 0777U) == 0775);
    CHECK((mode_of(at("a")) & 0777U) == 0775);
    CHECK((mode_of(directory / "root") & 0777U) == 0775);
}

TEST_CASE_METHOD(PosixFixture,
                 "nothing is written through a link below the root",
                 "[storage][bug-52]")
{
    const auto mode = GENERATE(WriteMode::once, WriteMode::replace);
    const auto store = make();
    test::write_text(*store, "real/file", "x");
    fs::create_directories(directory / "outside/sub");
    std::ofstream(directory / "outside/kept") << "kept";
    fs::create_symlink(directory / "outside", at("link"));
    fs::create_symlink("real", at("inner"));

    for (const std::string path : {"link/new", "link/sub/new", "link/a/b/new", "inner/new"}) {
        CHECK_THROWS_MATCHES(store->create(path, mode), Error, HasCode(ErrorCode::path_open));
    }
    CHECK_THROWS_MATCHES(store->remove("link/kept"), Error, HasCode(ErrorCode::path_open));
    CHECK_THROWS_MATCHES(store->remove_directory("link/sub"), Error, HasCode(ErrorCode::path_open));
    CHECK(fs::exists(directory / "outside/kept"));
    CHECK(entries_in(directory / "outside") == 2);
}

TEST_CASE_METHOD(PosixFixture, "a link in place of a file is not written to", "[storage][bug-52]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const auto store = make(unfinished);
    std::ofstream(directory / "outside") << "kept";
    test::write_text(*store, "other", "x");
    fs::create_symlink(directory / "outside", at("link"));

    CHECK_THROWS_MATCHES(
        test::write_text(*store, "link", "new"), Error, HasCode(ErrorCode::file_exists));
    test::write_text(*store, "link", "new", WriteMode::replace);

    CHECK(fs::is_regular_file(fs::symlink_status(at("link"))));
    CHECK(fs::file_size(directory / "outside") == 4);
}

TEST_CASE_METHOD(PosixFixture, "the root may be a link", "[storage]")
{
    fs::create_directory(directory / "target");
    fs::create_symlink("target", directory / "root");
    const auto store = make();

    test::write_text(*store, "a/b", "x");

    CHECK(fs::exists(directory / "target/a/b"));
    CHECK(store->info("")->type == storage::EntryType::directory);
    CHECK(store->location() == directory / "root");
    CHECK(store->is_listing_cheap());
}

TEST_CASE_METHOD(PosixFixture, "links and special files are told apart", "[storage]")
{
    const auto store = make();
    test::write_text(*store, "a", "x");
    fs::create_symlink("a", at("link"));
    REQUIRE(::mkfifo(at("pipe").c_str(), 0600) == 0);

    CHECK(store->info("link")->type == storage::EntryType::link);
    CHECK(store->info("link")->destination == "a");
    CHECK(store->info("pipe")->type == storage::EntryType::special);
    CHECK_THROWS_MATCHES(store->open("pipe"), Error, HasCode(ErrorCode::file_open));
    std::string seen;
    storage::list_recursively(
        *store, "", [&](const storage::EntryInfo& entry) { seen += entry.name + " "; });
    CHECK(seen == "a link ");
}

TEST_CASE_METHOD(PosixFixture,
                 "an unfinished file under a temporary name is not listed",
                 "[storage]")
{
    const auto store = make(Unfinished::named);
    {
        const auto file = store->create("d/" + std::string(255, 'n'));
        file->write(as_bytes("x"));

        CHECK(entries_in(at("d")) == 1);
        CHECK(fs::directory_iterator(at("d"))->path().string().ends_with(".pgstrata.tmp"));
        CHECK(test::names(*store, "d").empty());
    }
    CHECK(entries_in(at("d")) == 0);
}

TEST_CASE_METHOD(PosixFixture,
                 "an unfinished file without a name leaves the directory empty",
                 "[storage]")
{
    const auto store = make();
    const auto file = store->create("d/a");
    const bool has_nameless = entries_in(at("d")) == 0;
    if (!has_nameless) {
        WARN("this filesystem has no nameless files");
    }
    CHECK(test::names(*store, "d").empty());
}

TEST_CASE_METHOD(PosixFixture,
                 "only old leftovers of killed writers go with their directory",
                 "[storage]")
{
    const auto store = make();
    test::write_text(*store, "d/a", "x");
    const std::string leftover = at("d/a.0123abcd.pgstrata.tmp");
    std::ofstream(leftover) << "half";
    store->remove("d/a");

    CHECK_FALSE(store->remove_directory("d"));
    CHECK(fs::exists(leftover));
    fs::last_write_time(leftover, fs::file_time_type::clock::now() - std::chrono::hours(48));
    CHECK(store->remove_directory("d"));
    CHECK_FALSE(fs::exists(at("d")));
}

TEST_CASE_METHOD(PosixFixture, "a relative root is refused", "[storage][bug-52]")
{
    CHECK_THROWS_MATCHES(storage::make_posix_storage({.root = "relative"}),
                         Error,
                         HasCode(ErrorCode::parameter_invalid));
}

// A limit on the size of files stands in for a full disk: both end a write(2) early.
TEST_CASE_METHOD(PosixFixture, "a write that does not fit leaves nothing", "[storage][bug-45]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{65536, 65536};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto store = make(unfinished);
        const auto file = store->create("a");
        int outcome = 0;
        try {
            file->write(Buffer(100'000));
        } catch (const Error& error) {
            outcome = error.code() == ErrorCode::file_write ? 1 : 0;
        }
        try {
            file->commit();
        } catch (const Error& error) {
            outcome += error.code() == ErrorCode::assertion ? 2 : 0;
        }
        ::_exit(outcome);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);

    CHECK(WEXITSTATUS(status) == 3);
    CHECK(test::names(*make(), "").empty());
}

TEST_CASE("a full filesystem is a write error with a hint", "[storage][bug-45]")
{
    // Present in every kernel: writing to it fails with ENOSPC.
    const FileDescriptor full = open_file("/dev/full", O_WRONLY);
    try {
        write_fully(full.get(), as_bytes("x"), "/dev/full");
        FAIL("writing succeeded");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::file_write);
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE_METHOD(PosixFixture, "a killed writer leaves no file", "[storage][bug-42]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const auto store = make(unfinished);
        const auto file = store->create("a");
        file->write(as_bytes("half"));
        ::raise(SIGKILL);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    const auto store = make();
    CHECK_FALSE(store->info("a"));
    CHECK(test::names(*store, "").empty());
    test::write_text(*store, "a", "whole");
    CHECK(test::read_text(*store, "a") == "whole");
}
