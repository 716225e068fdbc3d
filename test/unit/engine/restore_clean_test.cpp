// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/restore_clean.hpp"
#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <csignal>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using pgstrata::test::HasCode;
using pgstrata::test::names_below;
using pgstrata::test::TemporaryDirectory;
using pgstrata::test::write_text_file;
namespace fs = std::filesystem;

namespace {

// A data directory with a tablespace, a linked pg_wal and a linked postgresql.conf, as the manifest
// has them.
struct CleanFixture {
    CleanFixture()
    {
        made.manifest.databases = {{16384, "shop", false}};
        for (const char* const path : {"base", "base/5", "base/16384", "global", "pg_tblspc"}) {
            made.add_directory(path);
        }
        made.add_tablespace(16400, "fast", base / "ts");
        made.add_directory("pg_wal");
        made.add_directory("pg_wal/archive_status");
        for (const char* const path : {"PG_VERSION",
                                       "postgresql.conf",
                                       "base/5/112",
                                       "base/16384/PG_VERSION",
                                       "base/16384/112",
                                       "global/pg_control"}) {
            made.add_file(path);
            write_text_file(data + "/" + path, path);
        }
        made.add_file("pg_tblspc/16400/PG_15_202209061/16390");
        write_text_file(base / "ts/PG_15_202209061/16390", "kept");
        options.data_directory = data;
        options.link_map = {{"pg_wal", base / "wal"}, {"postgresql.conf", base / "etc/demo.conf"}};
        fs::create_directories(base / "wal/archive_status");
        fs::create_directory_symlink(base / "wal", data + "/pg_wal");
        fs::create_directories(data + "/pg_tblspc");
        fs::create_directory_symlink(base / "ts", data + "/pg_tblspc/16400");
        fs::remove(data + "/postgresql.conf");
        write_text_file(base / "etc/demo.conf", "kept");
        fs::create_symlink(base / "etc/demo.conf", data + "/postgresql.conf");
        write_text_file(base / "elsewhere/file", "precious");
    }

    void clean(const std::vector<std::string>& keep = {}) const
    {
        clean_roots(RestoreLayout(options, made.manifest), made.manifest, keep);
    }

    // All that is right is still there, and nothing else.
    void check_clean() const
    {
        CHECK(names_below(data) == "PG_VERSION base global pg_tblspc pg_wal postgresql.conf");
        CHECK(names_below(data + "/base") == "16384 5");
        CHECK(names_below(data + "/base/5") == "112");
        CHECK(names_below(data + "/global") == "pg_control");
        CHECK(read_text_file(data + "/base/5/112") == "base/5/112");
        CHECK(fs::read_symlink(data + "/pg_wal") == base / "wal");
        CHECK(names_below(base / "wal") == "archive_status");
        CHECK(names_below(base / "wal/archive_status").empty());
        CHECK(names_below(base / "ts/PG_15_202209061") == "16390");
        CHECK(read_text_file(base / "etc/demo.conf") == "kept");
        check_elsewhere();
    }
    void check_elsewhere() const { CHECK(read_text_file(base / "elsewhere/file") == "precious"); }

    TemporaryDirectory base;
    std::string data = base / "data";
    HandMadeManifest made;
    LayoutOptions options;
};

} // namespace

TEST_CASE_METHOD(CleanFixture, "what the manifest has stays where it is", "[restore_clean]")
{
    clean();
    check_clean();
}

TEST_CASE_METHOD(CleanFixture,
                 "what the manifest does not have is removed, in all roots",
                 "[restore_clean][bug-35]")
{
    write_text_file(data + "/base/5/113", "x");
    write_text_file(data + "/base/6/1/2", "x");
    write_text_file(data + "/.hidden", "x");
    write_text_file(base / "wal/000000010000000000000001", "x");
    write_text_file(base / "ts/PG_15_202209061/5/6", "x");
    fs::create_symlink("nowhere", data + "/broken");
    REQUIRE(::mkfifo((data + "/base/pipe").c_str(), 0600) == 0);
    clean();
    check_clean();
}

TEST_CASE_METHOD(CleanFixture,
                 "other versions' directories of a tablespace stay",
                 "[restore_clean]")
{
    write_text_file(base / "ts/PG_14_202107181/5/16384", "another's");
    clean();
    CHECK(fs::exists(base / "ts/PG_14_202107181/5/16384"));
}

TEST_CASE_METHOD(CleanFixture,
                 "links that are too much are removed and not followed",
                 "[restore_clean][bug-52]")
{
    fs::create_directory_symlink(base / "elsewhere", data + "/base/5/link");
    fs::create_symlink(base / "elsewhere/file", base / "wal/link");
    clean();
    check_clean();
}

TEST_CASE_METHOD(CleanFixture,
                 "links in the place of something else are removed and not followed",
                 "[restore_clean][bug-52]")
{
    // A file, a directory, a directory behind a link, a link to elsewhere, and what a link leads
    // to.
    const std::string place =
        base /
        GENERATE(
            "data/base/5/112", "data/base", "wal/archive_status", "data/pg_wal", "etc/demo.conf");
    CAPTURE(place);
    fs::remove_all(place);
    fs::create_directory_symlink(base / "elsewhere", place);
    clean();
    CHECK_FALSE(fs::is_symlink(place));
    check_elsewhere();
    CHECK(fs::exists(data + "/PG_VERSION"));
}

TEST_CASE_METHOD(CleanFixture, "entries of another kind are removed", "[restore_clean]")
{
    const std::string place =
        GENERATE("base/5/112", "PG_VERSION", "base", "pg_wal", "postgresql.conf");
    const bool is_directory = GENERATE(false, true);
    const bool is_right = place == "base"
                              ? is_directory
                              : place != "pg_wal" && place != "postgresql.conf" && !is_directory;
    CAPTURE(place, is_directory);
    fs::remove_all(data + "/" + place);
    if (is_directory) {
        write_text_file(data + "/" + place + "/sub/file", "x");
    } else {
        write_text_file(data + "/" + place, "x");
    }
    clean();
    CHECK(fs::exists(data + "/" + place) == is_right);
    CHECK_FALSE(fs::exists(data + "/" + place + "/sub"));
    CHECK(fs::exists(base / "wal/archive_status"));
    CHECK(fs::exists(base / "etc/demo.conf"));
}

TEST_CASE_METHOD(CleanFixture,
                 "directories that cannot be written are cleaned too",
                 "[restore_clean]")
{
    write_text_file(data + "/base/5/113", "x");
    write_text_file(data + "/base/6/1", "x");
    fs::permissions(data + "/base/6", fs::perms(GENERATE(0000U, 0500U)));
    fs::permissions(data + "/base/5", fs::perms(GENERATE(0000U, 0500U)));
    clean();
    check_clean();
}

TEST_CASE_METHOD(CleanFixture,
                 "the PG_VERSION of a database that is left out goes",
                 "[restore_clean][bug-38]")
{
    options.db_exclude = {"shop"};
    clean();
    CHECK(names_below(data + "/base/16384") == "112");
}

TEST_CASE_METHOD(CleanFixture, "named files at the top and the marker stay", "[restore_clean]")
{
    for (const char* const path : {"standby.signal", "base/standby.signal", "backup.manifest"}) {
        write_text_file(data + "/" + path, "x");
    }
    clean({"standby.signal"});
    CHECK(names_below(data) == "PG_VERSION backup.manifest base global pg_tblspc pg_wal "
                               "postgresql.conf standby.signal");
    CHECK(names_below(data + "/base") == "16384 5");
}

TEST_CASE_METHOD(CleanFixture, "cleaning ends at a signal", "[restore_clean][bug-57]")
{
    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(clean(), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    clean();
    check_clean();
}

TEST_CASE_METHOD(CleanFixture, "pg_control is removed alone", "[restore_clean][bug-37]")
{
    remove_control_files(RestoreLayout(options, made.manifest));
    CHECK(names_below(data + "/global").empty());
    CHECK(names_below(data) == "PG_VERSION base global pg_tblspc pg_wal postgresql.conf");
}
