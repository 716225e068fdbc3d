// SPDX-License-Identifier: PostgreSQL
#include "support/file_mode.hpp"
#include "support/matchers.hpp"
#include "support/umask.hpp"
#include "unit/engine/other_user.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/restore_clean.hpp"
#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using pgstrata::test::HasCode;
using pgstrata::test::mode_of;
using pgstrata::test::names_below;
using pgstrata::test::OtherUser;
using pgstrata::test::prepare_roots;
using pgstrata::test::TemporaryDirectory;
using pgstrata::test::Umask;
using pgstrata::test::WarningLog;
using pgstrata::test::write_text_file;
namespace fs = std::filesystem;

namespace {

// A data directory, a tablespace and a linked pg_wal, all below one directory that is empty at
// first; postgresql.conf is a link to a file beside them.
struct TargetFixture {
    TargetFixture()
    {
        HandMadeManifest made;
        made.add_directory("pg_wal");
        made.add_file("postgresql.conf");
        made.add_tablespace(16400, "fast", base / "ts");
        LayoutOptions options;
        options.data_directory = data;
        options.link_map = {{"pg_wal", base / "wal"}, {"postgresql.conf", base / "etc/demo.conf"}};
        layout = std::make_unique<RestoreLayout>(options, made.manifest);
    }

    // As a cluster lies there, with all that the tests look for.
    void make_cluster() const
    {
        for (const char* const path : {"PG_VERSION",
                                       "global/pg_control",
                                       "global/1262",
                                       "base/1/112",
                                       "base/1/kept",
                                       "kept",
                                       ".hidden",
                                       "pg_tblspc/16400/outside"}) {
            write_text_file(data + "/" + path, path);
        }
        write_text_file(base / "ts/PG_15_202209061/5/16384", "old");
        write_text_file(base / "wal/000000010000000000000001", "old");
    }

    void check_refused(bool is_forced, ErrorCode code) const
    {
        CHECK_THROWS_MATCHES(
            prepare_roots(*layout, {.is_forced = is_forced}), Error, HasCode(code));
    }

    TemporaryDirectory base;
    std::string data = base / "data";
    std::unique_ptr<RestoreLayout> layout;
    WarningLog warnings;
};

} // namespace

TEST_CASE_METHOD(TargetFixture, "a server that runs is left alone", "[restore_target][bug-35]")
{
    check_not_running(data);
    fs::create_directories(data);
    check_not_running(data);
    SECTION("a file")
    {
        write_text_file(data + "/postmaster.pid", "1");
    }
    SECTION("a link that leads nowhere")
    {
        fs::create_symlink("nowhere", data + "/postmaster.pid");
    }
    CHECK_THROWS_MATCHES(check_not_running(data), Error, HasCode(ErrorCode::pg_running));
}

TEST_CASE_METHOD(TargetFixture, "what is missing is made", "[restore_target]")
{
    prepare_roots(*layout, {.is_forced = GENERATE(false, true)});
    CHECK(names_below(base.path()) == "data etc ts wal");
    CHECK(names_below(base / "ts") == "PG_15_202209061");
    CHECK(names_below(base / "etc").empty());
    CHECK(names_below(data).empty());
}

TEST_CASE("what is made is closed to others, whatever the umask", "[restore_target]")
{
    const TemporaryDirectory base;
    HandMadeManifest made;
    made.add_file("postgresql.conf");
    made.add_tablespace(16400, "fast", "/ts");
    LayoutOptions options;
    options.data_directory = base / "new/above/data";
    options.tablespace_map_all = base / "new/spaces";
    options.link_map = {{"postgresql.conf", base / "new/etc/demo.conf"}};
    const RestoreLayout layout(options, made.manifest);
    const Umask umask(0);

    prepare_roots(layout, {});

    for (const std::string path :
         {"new", "new/above", "new/above/data", "new/spaces", "new/spaces/fast", "new/etc"}) {
        CAPTURE(path);
        CHECK(mode_of(base / path) == 0700);
    }
}

TEST_CASE_METHOD(TargetFixture, "empty directories are taken as they are", "[restore_target]")
{
    fs::create_directories(data);
    fs::create_directories(base / "wal");
    write_text_file(base / "ts/PG_14_202107181/5/16384", "another version's");
    prepare_roots(*layout, {});
    CHECK(names_below(base / "ts") == "PG_14_202107181 PG_15_202209061");
    clear_roots(*layout, {});
    CHECK(fs::exists(base / "ts/PG_14_202107181/5/16384"));
}

TEST_CASE_METHOD(TargetFixture,
                 "a directory that holds anything is refused",
                 "[restore_target][bug-35]")
{
    const std::string at = GENERATE("data/file",
                                    "data/.hidden",
                                    "data/PG_VERSION",
                                    "data/sub/file",
                                    "ts/PG_15_202209061/5/16384",
                                    "wal/0001");
    CAPTURE(at);
    write_text_file(base / at, "precious");
    check_refused(false, ErrorCode::path_not_empty);
    CHECK(read_text_file(base / at) == "precious");
    // Nothing was made while others were still to be looked at.
    CHECK(names_below(base.path()) == at.substr(0, at.find('/')));
}

TEST_CASE_METHOD(TargetFixture,
                 "a file that a link would lead to is refused, and replaced with force",
                 "[restore_target][bug-35]")
{
    write_text_file(base / "etc/demo.conf", "precious");
    check_refused(false, ErrorCode::file_exists);
    CHECK(read_text_file(base / "etc/demo.conf") == "precious");

    make_cluster();
    prepare_roots(*layout, {.is_forced = true});
    clear_roots(*layout, {});
    CHECK(names_below(base / "etc").empty());
}

TEST_CASE_METHOD(TargetFixture,
                 "force counts only where a cluster was, or a restore that was cut off",
                 "[restore_target][bug-35]")
{
    write_text_file(data + "/precious", "precious");
    SECTION("not without a sign of either")
    {
        check_refused(true, ErrorCode::path_not_empty);
        CHECK_THAT(warnings.text(), Catch::Contains("--force is ignored"));
    }
    SECTION("nor does a sign in a tablespace or further down help")
    {
        write_text_file(data + "/base/1/PG_VERSION", "15");
        write_text_file(base / "ts/PG_15_202209061/PG_VERSION", "15");
        check_refused(true, ErrorCode::path_not_empty);
    }
    SECTION("PG_VERSION")
    {
        write_text_file(data + "/PG_VERSION", "15");
        check_refused(false, ErrorCode::path_not_empty);
        prepare_roots(*layout, {.is_forced = true});
        CHECK_THAT(warnings.text(), !Catch::Contains("force"));
    }
    SECTION("the marker")
    {
        write_text_file(data + "/" + std::string(kRestoreMarker), "");
        check_refused(false, ErrorCode::path_not_empty);
        prepare_roots(*layout, {.is_forced = true});
        CHECK_THAT(warnings.text(), !Catch::Contains("force"));
    }
    CHECK(read_text_file(data + "/precious") == "precious");
}

TEST_CASE_METHOD(TargetFixture, "what is no directory of ours is refused", "[restore_target]")
{
    SECTION("a file")
    {
        write_text_file(data, "precious");
        check_refused(true, ErrorCode::path_open);
    }
    SECTION("a link that leads nowhere")
    {
        fs::create_directory_symlink(base / "nowhere", data);
        check_refused(false, ErrorCode::path_open);
    }
    SECTION("a directory that cannot be written")
    {
        if (::geteuid() == 0) {
            return; // root can
        }
        fs::create_directories(base / "wal");
        fs::permissions(base / "wal", fs::perms::owner_read | fs::perms::owner_exec);
        check_refused(false, ErrorCode::path_open);
        CHECK_THROWS_WITH(prepare_roots(*layout, {}),
                          Catch::Matchers::Contains("without rwx permissions"));
    }
}

TEST_CASE_METHOD(TargetFixture,
                 "the place of a tablespace that is somebody else's is refused",
                 "[restore_target]")
{
    fs::create_directory(base / "ts");
    const OtherUser other;

    CHECK_THROWS_MATCHES(check_roots(*layout, {}), Error, HasCode(ErrorCode::path_open));
    CHECK_THROWS_WITH(check_roots(*layout, {}),
                      Catch::Contains(base / "ts' not owned by current user"));
}

TEST_CASE_METHOD(TargetFixture,
                 "directories that links of this host lead into one another are refused",
                 "[restore_target][bug-35][bug-36]")
{
    make_cluster();
    SECTION("pg_wal into the data directory")
    {
        fs::remove_all(base / "wal");
        fs::create_directory_symlink(data + "/base", base / "wal");
    }
    SECTION("pg_wal and the tablespace to one place")
    {
        fs::remove_all(base / "wal");
        fs::create_directory_symlink(base / "ts/PG_15_202209061", base / "wal");
    }
    SECTION("the tablespace's parent into the data directory, where it is not made yet")
    {
        fs::remove_all(base / "ts");
        fs::create_directory_symlink(data + "/base", base / "ts");
    }
    check_refused(true, ErrorCode::link_destination);
    CHECK(fs::exists(data + "/base/1/112"));
    CHECK_FALSE(fs::exists(data + "/base/PG_15_202209061"));
}

TEST_CASE_METHOD(TargetFixture,
                 "clearing leaves only the named files at the top",
                 "[restore_target]")
{
    make_cluster();
    clear_roots(*layout, {"kept", "not there"});
    CHECK(names_below(data) == "kept");
    CHECK(read_text_file(data + "/kept") == "kept");
    CHECK(names_below(base / "ts/PG_15_202209061").empty());
    CHECK(names_below(base / "wal").empty());
    clear_roots(*layout, {});
    CHECK(names_below(data).empty());
}

TEST_CASE_METHOD(TargetFixture,
                 "sockets, pipes and broken links are cleared too",
                 "[restore_target]")
{
    make_cluster();
    REQUIRE(::mkfifo((data + "/pipe").c_str(), 0600) == 0);
    fs::create_symlink("nowhere", data + "/broken");
    clear_roots(*layout, {});
    CHECK(names_below(data).empty());
}

TEST_CASE_METHOD(TargetFixture,
                 "links are removed and what they lead to is not touched",
                 "[restore_target][bug-35][bug-52]")
{
    make_cluster();
    write_text_file(base / "elsewhere/pg_control", "precious");
    write_text_file(base / "elsewhere/sub/file", "precious");
    fs::create_directory_symlink(base / "elsewhere", data + "/linked");
    fs::create_directory_symlink(base / "elsewhere", data + "/base/linked");
    fs::create_directory_symlink(base / "elsewhere", base / "ts/PG_15_202209061/linked");
    fs::create_symlink(base / "elsewhere/pg_control", data + "/file");
    SECTION("anywhere")
    {
        clear_roots(*layout, {});
    }
    SECTION("even in the place of global")
    {
        fs::remove_all(data + "/global");
        fs::create_directory_symlink(base / "elsewhere", data + "/global");
        clear_roots(*layout, {});
    }
    SECTION("even in the place of pg_control")
    {
        fs::remove(data + "/global/pg_control");
        fs::create_symlink(base / "elsewhere/pg_control", data + "/global/pg_control");
        clear_roots(*layout, {});
    }
    CHECK(names_below(data).empty());
    CHECK(read_text_file(base / "elsewhere/pg_control") == "precious");
    CHECK(read_text_file(base / "elsewhere/sub/file") == "precious");
}

TEST_CASE("a data directory behind a link is cleared and stays behind it", "[restore_target]")
{
    const TemporaryDirectory base;
    write_text_file(base / "real/PG_VERSION", "15");
    fs::create_directory_symlink(base / "real", base / "data");
    LayoutOptions options;
    options.data_directory = base / "data";
    const RestoreLayout layout(options, HandMadeManifest().manifest);
    prepare_roots(layout, {.is_forced = true});
    clear_roots(layout, {});
    CHECK(fs::is_symlink(base / "data"));
    CHECK(names_below(base / "real").empty());
}

TEST_CASE_METHOD(TargetFixture,
                 "pg_control goes before anything else, so that what is left cannot start",
                 "[restore_target][bug-37]")
{
    make_cluster();
    set_pending_signal(SIGTERM);
    SECTION("a file")
    {
        CHECK_THROWS_MATCHES(clear_roots(*layout, {}), Error, HasCode(ErrorCode::terminated));
        CHECK_FALSE(fs::exists(data + "/global/pg_control"));
    }
    SECTION("behind a link")
    {
        fs::rename(data + "/global", base / "elsewhere");
        fs::create_directory_symlink(base / "elsewhere", data + "/global");
        CHECK_THROWS_MATCHES(clear_roots(*layout, {}), Error, HasCode(ErrorCode::terminated));
        CHECK_FALSE(fs::exists(data + "/global/pg_control"));
    }
    set_pending_signal(0);
    CHECK(fs::exists(data + "/PG_VERSION"));
    CHECK(fs::exists(data + "/base/1/112"));
}

TEST_CASE_METHOD(TargetFixture,
                 "a clearing that is cut off can be repeated with force",
                 "[restore_target][bug-35][bug-37]")
{
    make_cluster();
    const std::string sign = GENERATE("PG_VERSION", "backup.manifest");
    fs::rename(data + "/PG_VERSION", data + "/" + sign);
    fs::rename(base / "wal", base / "away"); // so that it fails when it gets there
    CHECK_THROWS_MATCHES(clear_roots(*layout, {}), Error, HasCode(ErrorCode::path_open));
    CHECK(names_below(data) == sign);
    fs::rename(base / "away", base / "wal");
    prepare_roots(*layout, {.is_forced = true});
    clear_roots(*layout, {});
    CHECK(names_below(data).empty());
    CHECK(names_below(base / "wal").empty());
}

TEST_CASE("a pg_control that a link leads to goes first as well", "[restore_target][bug-37]")
{
    const TemporaryDirectory base;
    HandMadeManifest made;
    made.add_directory("global");
    made.add_file("global/pg_control");
    LayoutOptions options;
    options.data_directory = base / "data";
    options.link_map = {{GENERATE("global", "global/pg_control"), base / "elsewhere"}};
    const RestoreLayout layout(options, made.manifest);
    const std::string control = layout.physical_path("global/pg_control");
    write_text_file(control, "old");
    write_text_file(base / "data/PG_VERSION", "15");
    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(clear_roots(layout, {}), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    CHECK_FALSE(fs::exists(control));
    CHECK(fs::exists(base / "data/PG_VERSION"));
}
