// SPDX-License-Identifier: PostgreSQL
#include "storage/posix_file.hpp"
#include "support/matchers.hpp"
#include "support/storage_contract.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <string>
#include <vector>

using namespace pgstrata;
using storage::Unfinished;
using storage::WriteMode;
using test::HasCode;

namespace {

// What the system calls below note down while it is set, and what they answer.
struct Record {
    std::vector<std::string> events;
    std::string fail; // the event that fails with EIO instead
    bool has_nameless = true;
    bool has_rename_noreplace = true;
};
Record* record = nullptr;

std::string name_of(int fd)
{
    std::array<char, PATH_MAX> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const auto size = ::readlink(link.c_str(), target.data(), target.size());
    const std::string path(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    struct stat status {};
    const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    return is_file ? "file" : path.substr(path.rfind('/') + 1);
}

// Notes the event and tells whether the call must fail.
bool fails(const std::string& event)
{
    if (record == nullptr) {
        return false;
    }
    record->events.push_back(event);
    errno = EIO;
    return record->fail == event;
}

struct Recording : Record {
    Recording() { record = this; }
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    ~Recording() { record = nullptr; }
};

} // namespace

// These take the place of the C library's.
extern "C" {

int fsync(int fd)
{
    return fails("sync " + name_of(fd)) ? -1 : static_cast<int>(::syscall(SYS_fsync, fd));
}

int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept
{
    return fails(std::string("name ") + to)
               ? -1
               : static_cast<int>(::syscall(SYS_linkat, from_fd, from, to_fd, to, flags));
}

int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept
{
    return fails(std::string("name ") + to)
               ? -1
               : static_cast<int>(::syscall(SYS_renameat2, from_fd, from, to_fd, to, 0));
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept
{
    if (record != nullptr && !record->has_rename_noreplace) {
        errno = EINVAL;
        return -1;
    }
    return fails(std::string("name ") + to)
               ? -1
               : static_cast<int>(::syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int mkdirat(int fd, const char* path, mode_t mode) noexcept
{
    return fails(std::string("make ") + path)
               ? -1
               : static_cast<int>(::syscall(SYS_mkdirat, fd, path, mode));
}

int unlinkat(int fd, const char* path, int flags) noexcept
{
    const bool is_temporary = std::string_view(path).ends_with(storage::kTemporarySuffix);
    return !is_temporary && fails(std::string("remove ") + path)
               ? -1
               : static_cast<int>(::syscall(SYS_unlinkat, fd, path, flags));
}

int openat(int fd, const char* path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const auto mode = va_arg(arguments, unsigned);
    va_end(arguments);
    if ((flags & O_TMPFILE) == O_TMPFILE && record != nullptr && !record->has_nameless) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_openat, fd, path, flags, mode));
}

} // extern "C"

namespace {

struct DurableFixture {
    explicit DurableFixture(Unfinished unfinished = Unfinished::nameless)
        : store(storage::make_posix_storage({.root = directory.path()}, unfinished))
    {
    }

    test::TemporaryDirectory directory;
    std::unique_ptr<storage::Storage> store;
};

using Events = std::vector<std::string>;

} // namespace

TEST_CASE("data is durable before its name, and the name before commit returns",
          "[storage][bug-43]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const auto mode = GENERATE(WriteMode::once, WriteMode::replace);
    DurableFixture fixture(unfinished);
    test::write_text(*fixture.store, "d/before", "x");
    Recording recording;

    test::write_text(*fixture.store, "d/a", "x", mode);

    CHECK(recording.events == Events{"sync file", "name a", "sync d"});
}

TEST_CASE("new directories are durable in their parents", "[storage][bug-43]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/before", "x");
    Recording recording;

    fixture.store->create("d/e/f/a");

    CHECK(recording.events.size() == 6);
    CHECK(recording.events.at(2) == "make e");
    CHECK(recording.events.at(3) == "sync d");
    CHECK(recording.events.at(4) == "make f");
    CHECK(recording.events.at(5) == "sync e");
}

TEST_CASE("a directory whose maker did not come to its sync is made durable by who uses it",
          "[storage][bug-43]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/before", "x");
    {
        Recording recording;
        recording.fail = "sync d";
        CHECK_THROWS_MATCHES(fixture.store->create("d/e/a"), Error, HasCode(ErrorCode::path_sync));
    }
    Recording recording;

    test::write_text(*fixture.store, "d/e/a", "x");

    const auto named = std::ranges::find(recording.events, "name a");
    CHECK(named != recording.events.end());
    CHECK(std::find(recording.events.begin(), named, "sync d") != named);
}

TEST_CASE("a removal is durable", "[storage][bug-43]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/e/a", "x");
    Recording recording;

    CHECK(fixture.store->remove("d/e/a"));
    CHECK(fixture.store->remove_directory("d/e"));

    CHECK(recording.events == Events{"remove a", "sync e", "remove e", "sync d"});
}

TEST_CASE("a file that is there is made durable with the directories above it", "[storage][bug-43]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/e/a", "x");
    Recording recording;

    fixture.store->make_durable("d/e/a");

    const std::string root = fixture.directory.path();
    CHECK(recording.events ==
          Events{"sync e", "sync d", "sync " + root.substr(root.rfind('/') + 1)});
}

TEST_CASE("a file whose directories cannot be synced is not durable", "[storage][bug-45]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/e/a", "x");
    Recording recording;
    recording.fail = GENERATE("sync e", "sync d");

    CHECK_THROWS_MATCHES(
        fixture.store->make_durable("d/e/a"), Error, HasCode(ErrorCode::path_sync));
}

TEST_CASE("what is gone cannot be made durable", "[storage]")
{
    DurableFixture fixture;

    CHECK_THROWS_MATCHES(
        fixture.store->make_durable("d/a"), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("a failed sync or naming is an error and shows no file", "[storage][bug-45]")
{
    const auto unfinished = GENERATE(Unfinished::nameless, Unfinished::named);
    const auto mode = GENERATE(WriteMode::once, WriteMode::replace);
    const auto [event, code] = GENERATE(table<std::string, ErrorCode>(
        {{"sync file", ErrorCode::file_sync}, {"name a", ErrorCode::file_move}}));
    DurableFixture fixture(unfinished);
    {
        Recording recording;
        recording.fail = event;
        const auto file = fixture.store->create("a", mode);
        file->write(as_bytes("x"));

        CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(code));
        CHECK_THROWS_MATCHES(file->commit(), Error, HasCode(ErrorCode::assertion));
    }
    CHECK_FALSE(fixture.store->info("a"));
    CHECK(std::filesystem::is_empty(fixture.directory.path()));
}

TEST_CASE("a failed sync of a directory is an error", "[storage][bug-45]")
{
    DurableFixture fixture;
    test::write_text(*fixture.store, "d/before", "x");
    Recording recording;
    recording.fail = "sync d";

    CHECK_THROWS_MATCHES(
        test::write_text(*fixture.store, "d/a", "x"), Error, HasCode(ErrorCode::path_sync));
    CHECK_THROWS_MATCHES(fixture.store->create("d/new/a"), Error, HasCode(ErrorCode::path_sync));
    CHECK_THROWS_MATCHES(fixture.store->remove("d/before"), Error, HasCode(ErrorCode::path_sync));
}

TEST_CASE("filesystems that can do less still write once", "[storage][bug-42]")
{
    const bool has_rename_noreplace = GENERATE(true, false);
    DurableFixture fixture;
    Recording recording;
    recording.has_nameless = false;
    recording.has_rename_noreplace = has_rename_noreplace;

    test::write_text(*fixture.store, "a", "old");

    CHECK_THROWS_MATCHES(
        test::write_text(*fixture.store, "a", "new"), Error, HasCode(ErrorCode::file_exists));
    CHECK(test::read_text(*fixture.store, "a") == "old");
    const std::filesystem::directory_iterator entries(fixture.directory.path());
    CHECK(std::distance(begin(entries), end(entries)) == 1);
}
