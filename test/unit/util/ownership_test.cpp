// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/util/ownership.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace pgstrata;
using pgstrata::test::HasCode;

namespace {

constexpr unsigned kRoot = 0;
constexpr unsigned kPerson = 1000;

} // namespace

TEST_CASE("own, root's and shared directories are relied on, others are not", "[util][ownership]")
{
    constexpr unsigned kOther = 1001;
    constexpr unsigned kForeignGroup = 987654;

    CHECK(is_reliable({kPerson, kForeignGroup}, kPerson));
    CHECK(is_reliable({kRoot, kForeignGroup}, kPerson));
    CHECK(is_reliable({kOther, ::getegid()}, kPerson));
    CHECK(is_reliable({kOther, kForeignGroup}, kRoot));
    CHECK_FALSE(is_reliable({kOther, kForeignGroup}, kPerson));
}

TEST_CASE("root leaves what it makes to the owner of a directory", "[util][ownership]")
{
    const test::TemporaryDirectory directory;
    struct stat status {};
    REQUIRE(::stat(directory.path().c_str(), &status) == 0);
    const auto* below = GENERATE("", "/not", "/not/there/yet");

    const auto heir = heir_of(directory.path() + below, kRoot);

    // As root itself the tests would be the owner.
    CHECK(heir.has_value() == (status.st_uid != 0));
    CHECK(heir.value_or(Owner{}).user == status.st_uid);
    CHECK((!heir || heir->group == status.st_gid));
}

TEST_CASE("what is not root's to leave, or has nobody, has no heir", "[util][ownership]")
{
    const test::TemporaryDirectory directory;

    CHECK_FALSE(heir_of(directory.path(), kPerson));
    for (const auto* home : {"", "/", "/etc", "/not/there", "relative"}) {
        CAPTURE(home);
        CHECK_FALSE(heir_of(home, kRoot));
    }
    CHECK_FALSE(leave_to_heir({directory.path()}, "/"));
}

TEST_CASE("a file for the heir is made once and then opened", "[util][ownership]")
{
    const test::TemporaryDirectory directory;
    const std::string path = directory / "file";

    for (const auto* text : {"a", "b"}) {
        write_fully(open_for_heir(path, O_WRONLY | O_APPEND).get(), as_bytes(text), path);
    }

    CHECK(read_text_file(path) == "ab");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0640);
}

TEST_CASE("a link in the place of a file for the heir is not followed", "[util][ownership]")
{
    const test::TemporaryDirectory directory;
    const std::string target = GENERATE("there", "not there");
    write_fully(open_for_heir(directory / "there", O_WRONLY).get(), as_bytes("kept"), "there");
    REQUIRE(::symlink((directory / target).c_str(), (directory / "link").c_str()) == 0);

    CHECK_THROWS_MATCHES(open_for_heir(directory / "link", O_WRONLY | O_TRUNC),
                         Error,
                         HasCode(ErrorCode::file_open));

    CHECK(read_text_file(directory / "there") == "kept");
    CHECK(::access((directory / "not there").c_str(), F_OK) != 0);
}
