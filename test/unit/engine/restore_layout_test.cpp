// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restore_fixture.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeManifest;
using pgstrata::test::HasCode;
using pgstrata::test::WarningLog;
using Map = std::vector<std::pair<std::string, std::string>>;

namespace {

LayoutOptions into(std::string directory)
{
    LayoutOptions options;
    options.data_directory = std::move(directory);
    return options;
}

// "path>destination" of each link, in order.
std::string describe(const RestoreLayout& layout)
{
    std::string text;
    for (const RestoredLink& link : layout.links()) {
        text += fmt::format("{}{}>{}", text.empty() ? "" : " ", link.path, link.destination);
    }
    return text;
}

HandMadeManifest with_tablespaces()
{
    HandMadeManifest made;
    made.add_directory("pg_tblspc");
    made.add_tablespace(16400, "fast", "/srv/fast");
    made.add_tablespace(16401, "slow", "/srv/slow");
    return made;
}

HandMadeManifest with_links()
{
    HandMadeManifest made;
    made.add_directory("base");
    made.add_directory("log");
    made.add_directory("pg_wal");
    made.add_file("PG_VERSION");
    made.add_file("pg_hba.conf");
    made.add_file("postgresql.conf");
    made.add_link("pg_wal", "/srv/wal");
    made.add_link("postgresql.conf", "../etc/demo.conf", false);
    return made;
}

void check_refused(const LayoutOptions& options, const HandMadeManifest& made, ErrorCode code)
{
    const WarningLog silence;
    CHECK_THROWS_MATCHES(RestoreLayout(options, made.manifest), Error, HasCode(code));
}

} // namespace

TEST_CASE("tablespaces go where the map says, by name or by oid, or where they were",
          "[restore_layout]")
{
    struct Row {
        Map map;
        std::string map_all;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {{}, "", "pg_tblspc/16400>/srv/fast pg_tblspc/16401>/srv/slow"},
        {{{"fast", "/new/f"}}, "", "pg_tblspc/16400>/new/f pg_tblspc/16401>/srv/slow"},
        {{{"16401", "/new/s"}}, "", "pg_tblspc/16400>/srv/fast pg_tblspc/16401>/new/s"},
        {{}, "/all", "pg_tblspc/16400>/all/fast pg_tblspc/16401>/all/slow"},
        {{{"slow", "/new/s"}}, "/all", "pg_tblspc/16400>/all/fast pg_tblspc/16401>/new/s"},
        {{{"slow", "/new/s"}, {"16401", "/new/s"}},
         "",
         "pg_tblspc/16400>/srv/fast pg_tblspc/16401>/new/s"},
    }));
    LayoutOptions options = into("/data");
    options.tablespace_map = row.map;
    options.tablespace_map_all = row.map_all;
    const RestoreLayout layout(options, with_tablespaces().manifest);
    CHECK(describe(layout) == row.expected);
    CHECK(layout.plain().empty());
    for (const RestoredLink& link : layout.links()) {
        CHECK(link.is_tablespace);
        CHECK(link.is_directory);
    }
}

TEST_CASE("a tablespace map that does not fit the backup is refused", "[restore_layout]")
{
    const auto map = GENERATE(values<Map>({
        {{"other", "/new"}},
        {{"16402", "/new"}},
        {{"pg_tblspc/16400", "/new"}},
        {{"", "/new"}},
        {{"fast", "new"}},
        {{"fast", ""}},
        {{"fast", "/a"}, {"16400", "/b"}},
    }));
    CAPTURE(map.front().first, map.front().second);
    LayoutOptions options = into("/data");
    options.tablespace_map = map;
    check_refused(options, with_tablespaces(), ErrorCode::tablespace_map);
}

TEST_CASE("a tablespace in the data directory cannot be mapped, and is named with what to do",
          "[restore_layout]")
{
    HandMadeManifest made = with_tablespaces();
    made.manifest.tablespaces.push_back({16402, "inside"});
    made.add_directory("pg_tblspc/16402");
    LayoutOptions options = into("/data");
    options.tablespace_map = {{GENERATE("inside", "16402"), "/new"}};
    const WarningLog silence;
    try {
        const RestoreLayout layout(options, made.manifest);
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::tablespace_map);
        CHECK_THAT(error.what(), Catch::Contains("in-place tablespace '"));
        CHECK_THAT(error.hint(), Catch::Contains("'pg_tblspc/16402'"));
    }
    options.tablespace_map = {{"fast", "/new"}};
    CHECK_NOTHROW(RestoreLayout(options, made.manifest));
}

// A backup of a stopped server knows no names.
TEST_CASE("a tablespace without a known name is mapped by its oid", "[restore_layout]")
{
    HandMadeManifest made = with_tablespaces();
    made.manifest.tablespaces.clear();
    LayoutOptions options = into("/data");
    options.tablespace_map = {{GENERATE("16400", "ts16400"), "/new/f"}};
    options.tablespace_map_all = "/all";
    CHECK(describe(RestoreLayout(options, made.manifest)) ==
          "pg_tblspc/16400>/new/f pg_tblspc/16401>/all/ts16401");
}

TEST_CASE("a tablespace's name cannot lead out of the directory for all",
          "[restore_layout][bug-52]")
{
    HandMadeManifest made = with_tablespaces();
    made.manifest.tablespaces[0].name = GENERATE("../etc", "a/b", "..", ".");
    LayoutOptions options = into("/data");
    options.tablespace_map_all = "/all";
    check_refused(options, made, ErrorCode::tablespace_map);
    options.tablespace_map = {{"16400", "/new"}};
    CHECK(describe(RestoreLayout(options, made.manifest)) ==
          "pg_tblspc/16400>/new pg_tblspc/16401>/all/slow");
}

TEST_CASE("only the version's own directory of a tablespace is ours", "[restore_layout][bug-35]")
{
    const RestoreLayout layout(into("/data/"), with_tablespaces().manifest);
    CHECK(layout.roots() == std::vector<std::string>{
                                "/data", "/srv/fast/PG_15_202209061", "/srv/slow/PG_15_202209061"});
    CHECK(layout.physical_path("pg_tblspc/16400/PG_15_202209061/5/16384") ==
          "/srv/fast/PG_15_202209061/5/16384");
    CHECK(layout.physical_path("pg_tblspc/16402/PG_15_202209061/5/16384") ==
          "/data/pg_tblspc/16402/PG_15_202209061/5/16384");
}

TEST_CASE("nothing of a backup gets into a tablespace outside the version's own directory",
          "[restore_layout][bug-52]")
{
    HandMadeManifest made = with_tablespaces();
    SECTION("a file")
    {
        made.add_file(GENERATE("pg_tblspc/16400/passwd",
                               "pg_tblspc/16400/PG_15_2022090611/5/16384",
                               "pg_tblspc/16400/PG_14_202107181/5/16384",
                               "pg_tblspc/16400/PG_15_202209061"));
    }
    SECTION("a directory")
    {
        made.add_directory(GENERATE("pg_tblspc/16400/cron.d", "pg_tblspc/16401/PG_15_2"));
    }
    SECTION("a link")
    {
        made.add_link("pg_tblspc/16400/lib", "/usr/lib");
    }
    check_refused(into("/data"), made, ErrorCode::format);
}

TEST_CASE("a link in pg_tblspc that is no oid is no tablespace", "[restore_layout][bug-5][bug-52]")
{
    const WarningLog warnings;
    HandMadeManifest made = with_tablespaces();
    made.add_link(GENERATE("pg_tblspc/etc", "pg_tblspc/16400x", "pg_tblspc2/16400"), "/etc");
    const RestoreLayout layout(into("/data"), made.manifest);
    CHECK(layout.links().size() == 2);
    CHECK(layout.plain().size() == 1);
    CHECK_THAT(warnings.text(), Catch::Contains("'/etc'"));
}

TEST_CASE("links nobody asked for become plain, and a warning says so", "[restore_layout]")
{
    const WarningLog warnings;
    const RestoreLayout layout(into("/data"), with_links().manifest);
    CHECK(layout.links().empty());
    REQUIRE(layout.plain().size() == 2);
    CHECK(layout.plain()[0].path == "pg_wal");
    CHECK(layout.plain()[1].path == "postgresql.conf");
    CHECK(layout.roots() == std::vector<std::string>{"/data"});
    CHECK(layout.physical_path("pg_wal/archive_status") == "/data/pg_wal/archive_status");
    CHECK(layout.physical_path("postgresql.conf") == "/data/postgresql.conf");
    CHECK_THAT(warnings.text(),
               Catch::Contains("link 'pg_wal' -> '/srv/wal' will be restored as a directory") &&
                   Catch::Contains("link 'postgresql.conf' -> '../etc/demo.conf' will be restored "
                                   "as a file"));
}

TEST_CASE("links are kept with link-all and moved with link-map", "[restore_layout]")
{
    struct Row {
        bool link_all;
        Map map;
        std::string expected;
        std::string roots;
    };
    const auto row = GENERATE(values<Row>({
        {true, {}, "pg_wal>/srv/wal postgresql.conf>../etc/demo.conf", "/data/demo /srv/wal"},
        {false, {{"pg_wal", "/new/wal"}}, "pg_wal>/new/wal", "/data/demo /new/wal"},
        {false, {{"pg_wal", "../wal"}}, "pg_wal>../wal", "/data/demo /data/wal"},
        {true,
         {{"pg_wal", "/new/wal"}},
         "pg_wal>/new/wal postgresql.conf>../etc/demo.conf",
         "/data/demo /new/wal"},
        {false, {{"postgresql.conf", "/etc/c"}}, "postgresql.conf>/etc/c", "/data/demo"},
    }));
    const WarningLog silence;
    LayoutOptions options = into("/data/demo");
    options.link_all = row.link_all;
    options.link_map = row.map;
    const RestoreLayout layout(options, with_links().manifest);
    CHECK(describe(layout) == row.expected);
    CHECK(layout.links().size() + layout.plain().size() == 2);
    std::string roots;
    for (const std::string& root : layout.roots()) {
        roots += (roots.empty() ? "" : " ") + root;
    }
    CHECK(roots == row.roots);
}

TEST_CASE("a relative link leads from where it is", "[restore_layout]")
{
    LayoutOptions options = into("/data/demo");
    options.link_all = true;
    HandMadeManifest made = with_links();
    made.add_link("base/there", "../../beside");
    const RestoreLayout layout(options, made.manifest);
    CHECK(layout.physical_path("postgresql.conf") == "/data/etc/demo.conf");
    CHECK(layout.physical_path("base/there/x") == "/data/beside/x");
}

TEST_CASE("a relative link below a directory that becomes a link leads from there",
          "[restore_layout]")
{
    HandMadeManifest made = with_links();
    made.add_directory("conf");
    made.add_link("conf/local", "../shared");
    LayoutOptions options = into("/data");
    options.link_all = true;
    options.link_map = {{"conf", "/etc/demo"}, {"pg_wal", "/srv/wal"}};
    const RestoreLayout layout(options, made.manifest);
    CHECK(layout.physical_path("conf/local/x") == "/etc/shared/x");
    CHECK(layout.physical_path("conf/x") == "/etc/demo/x");
}

TEST_CASE("link-map makes links of plain directories and files", "[restore_layout]")
{
    const WarningLog silence;
    LayoutOptions options = into("/data");
    options.link_map = {{"log", "/var/log/demo"}, {"pg_hba.conf", "/etc/hba"}};
    const RestoreLayout layout(options, with_links().manifest);
    CHECK(describe(layout) == "log>/var/log/demo pg_hba.conf>/etc/hba");
    CHECK(layout.links()[0].is_directory);
    CHECK_FALSE(layout.links()[1].is_directory);
    CHECK(layout.links()[1].mode == 0600);
    CHECK(layout.roots() == std::vector<std::string>{"/data", "/var/log/demo"});
    CHECK(layout.physical_path("pg_hba.conf") == "/etc/hba");
}

TEST_CASE("a link map that does not fit the backup is refused", "[restore_layout]")
{
    const auto map = GENERATE(values<Map>({
        {{"pg_tblspc/16400", "/new"}},
        {{"nothing", "/new"}},
        {{"base/nothing", "/new"}},
        {{"lo", "/new"}},
        {{"log", "new"}},
        {{"pg_hba.conf", "new"}},
    }));
    CAPTURE(map.front().first, map.front().second);
    HandMadeManifest made = with_links();
    made.add_tablespace(16400, "fast", "/srv/fast");
    LayoutOptions options = into("/data");
    options.link_map = map;
    check_refused(options, made, ErrorCode::link_map);
}

TEST_CASE("places that overlap are refused", "[restore_layout][bug-35][bug-36]")
{
    struct Row {
        std::string wal;
        std::string log;
        bool is_refused;
    };
    const auto row = GENERATE(values<Row>({
        {"/srv/wal", "/srv/log", false},
        {"/srv/wal", "/srv/wal2", false},
        {"/data/wal", "/data/demo2", false},
        {"/srv/wal", "/srv/wal", true},
        {"/srv/wal", "/srv//wal/", true},
        {"/srv/wal", "/srv/wal/log", true},
        {"/srv/wal/x", "/srv/wal", true},
        {"/data", "/srv/log", true},
        {"/data/demo", "/srv/log", true},
        {"/data/demo/wal", "/srv/log", true},
        {"/srv/../data/demo/wal", "/srv/log", true},
        {"/", "/srv/log", true},
    }));
    CAPTURE(row.wal, row.log);
    const WarningLog silence;
    LayoutOptions options = into("/data/demo");
    options.link_map = {{"pg_wal", row.wal}, {"log", row.log}};
    const HandMadeManifest made = with_links();
    if (row.is_refused) {
        check_refused(options, made, ErrorCode::link_destination);
    } else {
        CHECK(RestoreLayout(options, made.manifest).links().size() == 2);
    }
}

TEST_CASE("a tablespace cannot be in the data directory or in another's place",
          "[restore_layout][bug-35]")
{
    const std::string place = GENERATE("/data", "/data/fast", "/srv/slow", "/srv/slow/fast");
    LayoutOptions options = into("/data");
    options.tablespace_map = {{"fast", place}};
    check_refused(options, with_tablespaces(), ErrorCode::link_destination);
}

TEST_CASE("the nearest link decides where a path goes", "[restore_layout]")
{
    HandMadeManifest made;
    made.add_directory("pg_wal");
    made.add_directory("pg_wal2");
    made.add_link("pg_wal", "/srv/wal");
    made.add_link("pg_wal/archive_status", "/srv/status");
    LayoutOptions options = into("/data");
    options.link_all = true;
    const RestoreLayout layout(options, made.manifest);

    struct Row {
        std::string path;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {"", "/data"},
        {"PG_VERSION", "/data/PG_VERSION"},
        {"base/1/112", "/data/base/1/112"},
        {"pg_wal", "/srv/wal"},
        {"pg_wal/0001", "/srv/wal/0001"},
        {"pg_wal/archive_status", "/srv/status"},
        {"pg_wal/archive_status/a.ready", "/srv/status/a.ready"},
        {"pg_wal/archive_status2", "/srv/wal/archive_status2"},
        {"pg_wal2/x", "/data/pg_wal2/x"},
        {"base/pg_wal/x", "/data/base/pg_wal/x"},
    }));
    CHECK(layout.physical_path(row.path) == row.expected);
}
