// SPDX-License-Identifier: PostgreSQL
#include "engine/root_contents.hpp"
#include "engine/target_space.hpp"
#include "support/matchers.hpp"
#include "unit/engine/other_user.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/restore_survey.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using pgstrata::test::HasCode;
using pgstrata::test::OtherUser;
using pgstrata::test::TemporaryDirectory;
using pgstrata::test::write_text_file;
namespace fs = std::filesystem;

namespace {

// A data directory with two files, a linked pg_wal, and room for what lies there already.
struct SurveyFixture {
    SurveyFixture()
    {
        made.add_directory("base");
        made.add_directory("pg_wal");
        made.add_file("base/1");
        made.add_file("pg_wal/2");
        for (auto& file : made.manifest.files) {
            file.size = 100'000;
            file.content = repository::ContentKind::paged;
            file.mtime = 1'000'000'000'000;
        }
        made.manifest.header.copy_time = 2'000'000'000'000;
        options.data_directory = data;
        options.link_map = {{"pg_wal", base / "wal"}};
    }

    TargetSurvey survey(Reuse reuse, const std::vector<std::string>& kept = {}) const
    {
        return survey_target({options, made.manifest}, made.manifest, kept, reuse);
    }
    void set_time(const std::string& path, std::int64_t seconds) const
    {
        const std::array<timespec, 2> times = {timespec{seconds, 0}, timespec{seconds, 0}};
        REQUIRE(::utimensat(AT_FDCWD, (data + "/" + path).c_str(), times.data(), 0) == 0);
    }

    TemporaryDirectory base;
    std::string data = base / "data";
    HandMadeManifest made;
    LayoutOptions options;
};

} // namespace

TEST_CASE_METHOD(SurveyFixture,
                 "a target that is not there needs room on the disk above it",
                 "[engine][restore-plan]")
{
    const TargetSurvey result = survey(Reuse::nothing);

    REQUIRE(result.filesystems.size() == 1);
    CHECK(result.filesystems.front().path == base.path());
    CHECK(result.filesystems.front().needed == 200'000);
    CHECK(result.filesystems.front().reused == 0);
    CHECK(result.filesystems.front().free > 0);
    CHECK(result.bytes_needed == 200'000);
    CHECK(result.removed == 0);
    CHECK_FALSE(fs::exists(data));
}

TEST_CASE_METHOD(SurveyFixture,
                 "what is there is removed, or compared where it belongs",
                 "[engine][restore-plan]")
{
    write_text_file(data + "/base/1", std::string(50'000, 'x'));
    write_text_file(data + "/base/stray", "x");
    write_text_file(data + "/old/deep/file", "x");
    write_text_file(data + "/postgresql.auto.conf", "x");
    fs::create_symlink("/nowhere", data + "/pg_wal");
    write_text_file(base / "wal/2", std::string(300'000, 'x'));

    const TargetSurvey cleared = survey(Reuse::nothing, {"postgresql.auto.conf"});
    CHECK(cleared.removed == 5);
    CHECK(cleared.first_removed == std::vector<std::string>{data + "/base/1",
                                                            data + "/base/stray",
                                                            data + "/old/deep/file",
                                                            data + "/pg_wal",
                                                            base / "wal/2"});
    CHECK(cleared.bytes_compared == 0);
    CHECK(cleared.filesystems.front().reused >= 350'000);

    const TargetSurvey delta = survey(Reuse::contents, {"postgresql.auto.conf"});
    CHECK(delta.first_removed == std::vector<std::string>{data + "/base/stray",
                                                          data + "/old/deep/file",
                                                          data + "/pg_wal"});
    // Of the longer one only what the backup has of it.
    CHECK(delta.bytes_compared == 150'000);
    CHECK(fs::exists(data + "/base/stray"));
}

TEST_CASE_METHOD(SurveyFixture,
                 "what size and time show to be right is not compared",
                 "[engine][restore-plan]")
{
    write_text_file(data + "/base/1", std::string(100'000, 'x'));
    set_time("base/1", 1000);

    CHECK(survey(Reuse::contents).bytes_compared == 100'000);
    CHECK(survey(Reuse::times).bytes_compared == 0);
    set_time("base/1", 1001);
    CHECK(survey(Reuse::times).bytes_compared == 100'000);
}

TEST_CASE_METHOD(SurveyFixture,
                 "directories of others that cannot be emptied or written to are refused",
                 "[engine][restore-plan]")
{
    if (::geteuid() == 0) {
        return; // root can
    }
    write_text_file(data + "/base/1", "x");
    write_text_file(data + "/old/file", "x");
    write_text_file(data + "/hidden/file", "x");
    fs::create_directories(data + "/empty");
    const auto closed_by = [&](Reuse reuse) {
        fs::permissions(data + "/base", fs::perms(0500));
        fs::permissions(data + "/old", fs::perms(0500));
        fs::permissions(data + "/empty", fs::perms(0500));
        fs::permissions(data + "/hidden", fs::perms::none);
        const TargetSurvey result = survey(reuse);
        for (const auto* const path : {"/base", "/old", "/hidden"}) {
            fs::permissions(data + path, fs::perms::owner_all);
        }
        return result;
    };
    CHECK(closed_by(Reuse::nothing).closed.empty()); // our own can be opened
    check_changeable(closed_by(Reuse::nothing));

    const OtherUser other;
    for (const Reuse reuse : {Reuse::nothing, Reuse::contents}) {
        const TargetSurvey result = closed_by(reuse);
        CHECK(result.closed ==
              std::vector<std::string>{data + "/base", data + "/hidden", data + "/old"});
        CHECK_THROWS_MATCHES(check_changeable(result), Error, HasCode(ErrorCode::path_open));
        CHECK_THROWS_WITH(check_changeable(result),
                          Catch::Contains(data + "/base' and 2 other directories"));
    }
}

TEST_CASE("only root's lost+found at the top of a filesystem is left alone",
          "[engine][restore-plan]")
{
    struct Case {
        std::string name;
        mode_t mode;
        uid_t owner;
        dev_t above;
        bool is_left_alone;
    };
    const auto given = GENERATE(Case{"lost+found", S_IFDIR, 0, 2, true},
                                Case{"lost", S_IFDIR, 0, 2, false},
                                Case{"lost+found", S_IFREG, 0, 2, false},
                                Case{"lost+found", S_IFLNK, 0, 2, false},
                                Case{"lost+found", S_IFDIR, 70, 2, false},
                                Case{"lost+found", S_IFDIR, 0, 1, false});
    CAPTURE(given.name, given.mode, given.owner, given.above);
    struct stat entry {};
    entry.st_mode = given.mode | S_IRWXU;
    entry.st_uid = given.owner;
    struct stat directory {};
    directory.st_dev = 1;
    struct stat above {};
    above.st_dev = given.above;

    CHECK(is_lost_and_found(given.name, entry, directory, above) == given.is_left_alone);
}

TEST_CASE_METHOD(SurveyFixture, "hollow databases need no room", "[engine][restore-plan]")
{
    made.manifest.databases = {{16384, "app", false}};
    made.add_directory("base/16384");
    made.add_file("base/16384/5");
    for (auto& file : made.manifest.files) {
        file.size = 100'000;
    }
    CHECK(survey(Reuse::nothing).bytes_needed == 300'000);

    options.db_exclude = {"app"};

    CHECK(survey(Reuse::nothing).bytes_needed == 200'000);
}

TEST_CASE("a link below a root does not lend it another disk", "[engine][restore-plan]")
{
    const TemporaryDirectory base;
    const std::string root = base / "data";
    fs::create_directory(root);
    fs::create_symlink("/dev/shm", root + "/pg_wal");
    TargetSpace space({root});

    space.need(root, 1);
    space.need(root + "/pg_wal", 2);
    space.need(root + "/pg_wal/not/there", 4);
    space.need("/elsewhere", 8); // below no root

    const auto filesystems = space.filesystems();
    REQUIRE(filesystems.size() == 1);
    CHECK(filesystems.front().path == root);
    CHECK(filesystems.front().needed == 7);
}

TEST_CASE("a directory of another disk is asked for its own room", "[engine][restore-plan]")
{
    struct stat here {};
    struct stat there {};
    const TemporaryDirectory base;
    if (::stat(base.path().c_str(), &here) != 0 || ::stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev) {
        return;
    }
    TargetSpace space({base.path(), "/dev/shm/not/there"});

    space.need(base.path(), 1);
    space.need("/dev/shm/not/there/yet", 2);

    const auto filesystems = space.filesystems();
    REQUIRE(filesystems.size() == 2);
    const auto& other = filesystems[filesystems[0].path == "/dev/shm" ? 0 : 1];
    CHECK(other.path == "/dev/shm");
    CHECK(other.needed == 2);
    CHECK(other.is_exact);
}

TEST_CASE("room is free room and what is replaced", "[engine][restore-plan]")
{
    struct Case {
        std::uint64_t needed;
        std::uint64_t free;
        std::uint64_t reused;
        bool is_enough;
    };
    const auto& [needed, free, reused, is_enough] = GENERATE(Case{10, 10, 0, true},
                                                             Case{10, 9, 0, false},
                                                             Case{10, 9, 1, true},
                                                             Case{10, 0, 9, false},
                                                             Case{10, UINT64_MAX, UINT64_MAX, true},
                                                             Case{UINT64_MAX, 1, 1, false});

    CHECK(TargetFilesystem{"/x", needed, free, reused, true}.is_enough() == is_enough);
}
