// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/util/file_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

using namespace pgstrata;
using pgstrata::test::HasCode;
using pgstrata::test::TemporaryDirectory;

namespace {

std::size_t entries_in(const std::string& directory)
{
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
        ++count;
    }
    return count;
}

bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) != -1;
}

} // namespace

TEST_CASE("a descriptor is closed by its owner alone", "[util][file]")
{
    int number = -1;
    {
        FileDescriptor first = open_file("/dev/null", O_RDONLY);
        number = first.get();
        CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
        FileDescriptor second = std::move(first);
        CHECK_FALSE(first.is_open()); // NOLINT(bugprone-use-after-move)
        CHECK(second.get() == number);
        second = open_file("/dev/zero", O_RDONLY);
        CHECK(second.is_open());
        number = second.get();
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("closing twice is an error that names the file", "[util][file][bug-45]")
{
    FileDescriptor file = open_file("/dev/null", O_RDONLY);
    ::close(file.get());
    CHECK_THROWS_MATCHES(file.close("/dev/null"), Error, HasCode(ErrorCode::file_close));
    CHECK_FALSE(file.is_open());
}

TEST_CASE("a missing file is told from one that cannot be opened", "[util][file]")
{
    const TemporaryDirectory directory;
    CHECK_THROWS_MATCHES(
        open_file(directory / "no", O_RDONLY), Error, HasCode(ErrorCode::file_missing));
    CHECK_THROWS_MATCHES(
        open_file(directory.path(), O_WRONLY), Error, HasCode(ErrorCode::file_open));
}

TEST_CASE("reads stop at the end of the file only", "[util][file]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "file";
    write_file_durably(path, as_bytes("0123456789"));
    const FileDescriptor file = open_file(path, O_RDONLY);
    Buffer out(4);

    CHECK(read_fully(file.get(), out.span(), path) == 4);
    CHECK(as_text(out) == "0123");
    CHECK(pread_fully(file.get(), out.span(), 8, path) == 2);
    CHECK(as_text(out.view().first(2)) == "89");
    CHECK(pread_fully(file.get(), out.span(), 10, path) == 0);
    CHECK(read_fully(file.get(), out.span(), path) == 4);
    CHECK(as_text(out) == "4567");
    CHECK(read_fully(file.get(), out.span(), path) == 2);
    CHECK(read_fully(file.get(), out.span(), path) == 0);
}

TEST_CASE("a pipe that gives its bytes in pieces is read whole", "[util][file][bug-4]")
{
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const FileDescriptor reader(ends[0]);
    FileDescriptor writer(ends[1]);
    write_fully(writer.get(), as_bytes("abc"), "pipe");
    writer = FileDescriptor();
    Buffer out(10);
    CHECK(read_fully(reader.get(), out.span(), "pipe") == 3);
}

TEST_CASE("bytes are written where they belong", "[util][file]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "file";
    FileDescriptor file = open_file(path, O_RDWR | O_CREAT);
    write_fully(file.get(), as_bytes("aaaa"), path);
    pwrite_fully(file.get(), as_bytes("BB"), 1, path);
    sync_file(file.get(), path);
    file.close(path);
    CHECK(read_text_file(path) == "aBBa");
}

TEST_CASE("a write that the kernel refuses is an error with its reason", "[util][file][bug-45]")
{
    const FileDescriptor full = open_file("/dev/full", O_WRONLY);
    try {
        write_fully(full.get(), as_bytes("x"), "/dev/full");
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::file_write);
        CHECK_FALSE(error.hint().empty());
    }
    const FileDescriptor read_only = open_file("/dev/null", O_RDONLY);
    CHECK_THROWS_MATCHES(pwrite_fully(read_only.get(), as_bytes("x"), 0, "/dev/null"),
                         Error,
                         HasCode(ErrorCode::file_write));
}

TEST_CASE("a text file is read up to its limit", "[util][file][bug-54]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "file";
    const std::size_t size = GENERATE(as<std::size_t>(), 0, 1, 65535, 65536, 65537, 200000);
    write_file_durably(path, as_bytes(std::string(size, 'x')));
    CAPTURE(size);
    CHECK(read_text_file(path, size).size() == size);
    if (size != 0) {
        CHECK_THROWS_MATCHES(read_text_file(path, size - 1), Error, HasCode(ErrorCode::file_read));
    }
}

TEST_CASE("a file written durably takes the old one's place and nothing is left beside it",
          "[util][file][bug-42]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "file";
    write_file_durably(path, as_bytes("old"), 0600);
    write_file_durably(path, as_bytes("new"), 0604);

    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0604);
    CHECK(read_text_file(path) == "new");
    CHECK(entries_in(directory.path()) == 1);
}

TEST_CASE("a file can be written durably by a relative path", "[util][file]")
{
    const TemporaryDirectory directory;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(directory.path());
    CHECK_NOTHROW(write_file_durably("file", as_bytes("x")));
    std::filesystem::current_path(before);
    CHECK(read_text_file(directory / "file") == "x");
}

TEST_CASE("a file that cannot be put in its place leaves everything as it was",
          "[util][file][bug-45]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "taken";
    std::filesystem::create_directories(path + "/inside");

    CHECK_THROWS_MATCHES(
        write_file_durably(path, as_bytes("x")), Error, HasCode(ErrorCode::file_move));
    CHECK(std::filesystem::is_directory(path + "/inside"));
    CHECK(entries_in(directory.path()) == 1);
    CHECK_THROWS_MATCHES(write_file_durably(directory / "no/where", as_bytes("x")),
                         Error,
                         HasCode(ErrorCode::file_missing));
}

TEST_CASE("directories are made with those above them, and one that is there is left",
          "[util][file]")
{
    const TemporaryDirectory directory;
    using Paths = std::vector<std::string>;
    CHECK(make_directories(directory / "a/b", 0700) == Paths{directory / "a", directory / "a/b"});
    CHECK(make_directories(directory / "a/b/c", 0750) == Paths{directory / "a/b/c"});
    CHECK(make_directories(directory / "a/b/c", 0750).empty());

    struct stat status {};
    REQUIRE(::stat((directory / "a/b").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0700);
    REQUIRE(::stat((directory / "a/b/c").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0750);

    open_file(directory / "file", O_WRONLY | O_CREAT);
    CHECK_THROWS_MATCHES(
        make_directories(directory / "file/d", 0700), Error, HasCode(ErrorCode::path_create));
}

TEST_CASE("a directory that is not there cannot be synced", "[util][file][bug-43]")
{
    const TemporaryDirectory directory;
    CHECK_NOTHROW(sync_directory(directory.path()));
    CHECK_THROWS_MATCHES(sync_directory(directory / "no"), Error, HasCode(ErrorCode::path_open));
}
