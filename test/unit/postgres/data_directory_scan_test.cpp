// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::postgres;
using pgstrata::test::HasCode;
using pgstrata::test::TemporaryDirectory;

namespace {

// A directory that looks like a cluster of 15, with an "outside" beside it for links to lead to.
class Cluster {
public:
    Cluster()
    {
        for (const auto* name : {"base/1", "global", "pg_wal/archive_status", "pg_tblspc"}) {
            std::filesystem::create_directories(data() + "/" + name);
        }
        std::filesystem::create_directories(outside());
        add("PG_VERSION");
        add("global/pg_control");
        rules.major = 15;
        rules.catalog_version = 202209061;
    }

    std::string data() const { return directory_ / "data"; }
    std::string outside() const { return directory_ / "outside"; }

    void add(const std::string& path, std::string_view text = "x") const
    {
        add_absolute(data() + "/" + path, text);
    }
    static void add_absolute(const std::string& path, std::string_view text = "x")
    {
        std::filesystem::create_directories(parent_path(path));
        write_file_durably(path, as_bytes(text));
    }
    void link(const std::string& path, const std::string& destination) const
    {
        std::filesystem::create_symlink(destination, data() + "/" + path);
    }

    std::vector<DataEntry> scan() const
    {
        std::vector<DataEntry> entries;
        scan_data_directory(
            data(), rules, [&](DataEntry&& entry) { entries.push_back(std::move(entry)); });
        return entries;
    }
    std::vector<std::string> paths() const
    {
        std::vector<std::string> paths;
        for (const DataEntry& entry : scan()) {
            paths.push_back(entry.path);
        }
        return paths;
    }
    bool has(const std::string& path) const
    {
        const auto all = paths();
        return std::find(all.begin(), all.end(), path) != all.end();
    }

    ScanRules rules;

private:
    TemporaryDirectory directory_;
};

using Paths = std::vector<std::string>;

} // namespace

TEST_CASE("parents come before children, names in byte order", "[postgres][scan]")
{
    Cluster cluster;
    cluster.add("base/1/1259");
    cluster.add("base/1/112");
    cluster.add("base/1-x");
    cluster.add("base/\xff");
    cluster.add("pg_wal/000000010000000000000001");

    CHECK(cluster.paths() == Paths{"PG_VERSION",
                                   "base",
                                   "base/1",
                                   "base/1/112",
                                   "base/1/1259",
                                   "base/1-x",
                                   "base/\xff",
                                   "global",
                                   "global/pg_control",
                                   "pg_tblspc",
                                   "pg_wal"});
}

TEST_CASE("an entry carries size, mode, owner and time to the nanosecond", "[postgres][scan]")
{
    Cluster cluster;
    cluster.add("base/1/1259", "twelve bytes");
    const std::string path = cluster.data() + "/base/1/1259";
    REQUIRE(::chmod(path.c_str(), 0604) == 0);
    const timespec times[2] = {{1, 2}, {1700000000, 123456789}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);

    const auto entries = cluster.scan();
    const auto found = std::find_if(entries.begin(), entries.end(), [](const DataEntry& entry) {
        return entry.path == "base/1/1259";
    });

    REQUIRE(found != entries.end());
    CHECK(found->type == FileType::file);
    CHECK(found->size == 12);
    CHECK(found->mode == 0604);
    CHECK(found->uid == ::geteuid());
    CHECK(found->mtime == 1700000000123456789);
}

TEST_CASE("hostile names come through as they are", "[postgres][scan][bug-5][bug-6]")
{
    Cluster cluster;
    const Paths names{
        "=", "[x]", " lead", "#c", "a\nb", "back\\slash", "base 2", "\xff\xfe", "pg_tblspc2"};
    for (const std::string& name : names) {
        cluster.add("odd/" + name);
    }

    for (const std::string& name : names) {
        CHECK(cluster.has("odd/" + name));
    }
}

TEST_CASE("of unlogged relations only the init forks are taken", "[postgres][scan][bug-8]")
{
    Cluster cluster;
    for (const auto* name : {"16390",
                             "16390.1",
                             "16390_fsm",
                             "16390_vm",
                             "16390_init",
                             "16391",
                             "163900",
                             "16391_vm",
                             "112"}) {
        cluster.add(std::string("base/1/") + name);
    }
    // The same number in another database is another relation.
    cluster.add("base/5/16390");
    // Not a relation's directory, so the name means nothing.
    cluster.add("pg_xact/16390_init");
    cluster.add("pg_xact/16390");

    const auto paths = cluster.paths();

    const auto in_first = std::count_if(paths.begin(), paths.end(), [](const std::string& path) {
        return path.starts_with("base/1/");
    });
    CHECK(in_first == 5);
    for (const auto* path : {"base/1/16390_init",
                             "base/1/16391",
                             "base/1/163900",
                             "base/1/16391_vm",
                             "base/1/112",
                             "base/5/16390",
                             "pg_xact/16390"}) {
        CAPTURE(path);
        CHECK(cluster.has(path));
    }
}

TEST_CASE("a tablespace is visited through its link", "[postgres][scan][bug-7]")
{
    Cluster cluster;
    Cluster::add_absolute(cluster.outside() + "/PG_15_202209061/5/16386");
    Cluster::add_absolute(cluster.outside() + "/PG_14_202107181/5/16386");
    REQUIRE(::chmod(cluster.outside().c_str(), 0710) == 0);
    cluster.link("pg_tblspc/16385", cluster.outside());

    const auto entries = cluster.scan();

    Paths paths;
    for (const DataEntry& entry : entries) {
        if (entry.path.starts_with("pg_tblspc")) {
            paths.push_back(entry.path);
        }
        if (entry.path == "pg_tblspc/16385") {
            CHECK(entry.type == FileType::link);
            CHECK(entry.destination == cluster.outside());
            CHECK(entry.mode == 0710);
            CHECK(entry.size == 0);
        }
    }
    CHECK(paths == Paths{"pg_tblspc",
                         "pg_tblspc/16385",
                         "pg_tblspc/16385/PG_15_202209061",
                         "pg_tblspc/16385/PG_15_202209061/5",
                         "pg_tblspc/16385/PG_15_202209061/5/16386"});
}

TEST_CASE("an in-place tablespace is part of the tree", "[postgres][scan][bug-7]")
{
    Cluster cluster;
    cluster.add("pg_tblspc/16385/PG_15_202209061/5/16386");

    CHECK(cluster.has("pg_tblspc/16385"));
    CHECK(cluster.has("pg_tblspc/16385/PG_15_202209061/5/16386"));
}

TEST_CASE("only links and directories named by an oid may be in pg_tblspc", "[postgres][scan]")
{
    Cluster cluster;
    SECTION("a directory with a name")
    {
        cluster.add("pg_tblspc/mine/file");
    }
    SECTION("a file")
    {
        cluster.add("pg_tblspc/16385");
    }
    SECTION("a link with a name")
    {
        cluster.link("pg_tblspc/mine", cluster.outside());
    }

    CHECK_THROWS_MATCHES(cluster.scan(), Error, HasCode(ErrorCode::link_expected));
}

TEST_CASE("a link to a file comes twice, as the link and as the file", "[postgres][scan]")
{
    Cluster cluster;
    Cluster::add_absolute(cluster.outside() + "/postgresql.conf", "port = 1");
    cluster.link("postgresql.conf", "../outside/postgresql.conf");

    const auto entries = cluster.scan();

    REQUIRE(entries.size() > 2);
    const DataEntry& link = entries[entries.size() - 2];
    const DataEntry& file = entries.back();
    CHECK(link.path == "postgresql.conf");
    CHECK(link.type == FileType::link);
    CHECK(link.destination == "../outside/postgresql.conf");
    CHECK(file.path == "postgresql.conf");
    CHECK(file.type == FileType::file);
    CHECK(file.size == 8);
    CHECK(file.destination.empty());
}

TEST_CASE("a pg_wal that is a link is recorded without its contents", "[postgres][scan][bug-8]")
{
    Cluster cluster;
    std::filesystem::remove_all(cluster.data() + "/pg_wal");
    Cluster::add_absolute(cluster.outside() + "/000000010000000000000001");
    cluster.link("pg_wal", cluster.outside());

    const auto entries = cluster.scan();
    CHECK(entries.back().path == "pg_wal");
    CHECK(entries.back().type == FileType::link);

    cluster.rules.online = false;
    CHECK(cluster.paths().back() == "pg_wal/000000010000000000000001");
}

TEST_CASE("links that would store something twice or without end are refused",
          "[postgres][scan][bug-52]")
{
    Cluster cluster;
    SECTION("into the data directory")
    {
        cluster.link("again", cluster.data() + "/base");
    }
    SECTION("a tablespace into the data directory")
    {
        std::filesystem::create_directory(cluster.data() + "/spaces");
        cluster.link("pg_tblspc/16385", cluster.data() + "/spaces");
    }
    SECTION("into the data directory by a relative path")
    {
        cluster.link("base/again", "../global");
    }
    SECTION("to the data directory itself")
    {
        cluster.link("self", ".");
    }
    SECTION("to a directory above")
    {
        cluster.link("up", parent_path(cluster.data()));
    }
    SECTION("to another link")
    {
        std::filesystem::create_symlink("/tmp", cluster.outside() + "/link");
        cluster.link("chain", cluster.outside() + "/link/");
    }
    SECTION("a loop outside")
    {
        std::filesystem::create_symlink(".", cluster.outside() + "/loop");
        cluster.link("away", cluster.outside());
    }
    SECTION("a tablespace whose place is gone")
    {
        cluster.link("pg_tblspc/16385", cluster.outside() + "/gone");
    }

    CHECK_THROWS_MATCHES(cluster.scan(), Error, HasCode(ErrorCode::link_destination));
}

TEST_CASE("what lies on a file system that is not mounted is missed", "[postgres][scan][bug-7]")
{
    Cluster cluster;
    SECTION("a directory")
    {
        cluster.link("base/5", cluster.outside() + "/gone");
    }
    SECTION("a tablespace")
    {
        cluster.link("pg_tblspc/16385", cluster.outside());
    }
    SECTION("a tablespace of another version lies there")
    {
        Cluster::add_absolute(cluster.outside() + "/PG_14_202107181/5/16386");
        cluster.link("pg_tblspc/16385", cluster.outside());
    }
    SECTION("an in-place tablespace")
    {
        std::filesystem::create_directory(cluster.data() + "/pg_tblspc/16385");
    }

    CHECK_THROWS_MATCHES(cluster.scan(), Error, HasCode(ErrorCode::file_open));
}

TEST_CASE("a tablespace that is dropped during the scan is not missed", "[postgres][scan][bug-2]")
{
    Cluster cluster;
    cluster.link("pg_tblspc/16385", cluster.outside());
    std::thread dropping;

    scan_data_directory(cluster.data(), cluster.rules, [&](DataEntry&& entry) {
        if (entry.path == "pg_tblspc/16385") {
            dropping = std::thread([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
                std::filesystem::remove(cluster.data() + "/pg_tblspc/16385");
            });
        }
    });

    dropping.join();
}

TEST_CASE("special files are left out, and links to nowhere where that was said",
          "[postgres][scan]")
{
    Cluster cluster;
    REQUIRE(::mkfifo((cluster.data() + "/pipe").c_str(), 0600) == 0);
    cluster.link("device", "/dev/null");
    cluster.link("nowhere", cluster.outside() + "/gone");
    cluster.rules.exclude = {"nowhere"};

    log::configure({.console = log::Level::off});

    const auto paths = cluster.paths();

    log::configure({});
    CHECK(
        paths ==
        Paths{
            "PG_VERSION", "base", "base/1", "global", "global/pg_control", "pg_tblspc", "pg_wal"});
}

TEST_CASE("excluded directories are not entered", "[postgres][scan][bug-5]")
{
    Cluster cluster;
    cluster.add("base/12699/1259");
    cluster.add("base/1/1259");
    cluster.add("extra/file");
    cluster.rules.exclude = {"base/1", "extra/"};

    CHECK(cluster.paths() == Paths{"PG_VERSION",
                                   "base",
                                   "base/12699",
                                   "base/12699/1259",
                                   "extra",
                                   "global",
                                   "global/pg_control",
                                   "pg_tblspc",
                                   "pg_wal"});
}

TEST_CASE("what vanishes during the scan is left out", "[postgres][scan][bug-2]")
{
    Cluster cluster;
    cluster.add("base/1/112");
    cluster.add("base/1/113");
    cluster.add("base/2/1259");
    cluster.add("base/3/1259");
    Paths paths;

    scan_data_directory(cluster.data(), cluster.rules, [&](DataEntry&& entry) {
        paths.push_back(entry.path);
        if (entry.path == "base/1/112") {
            std::filesystem::remove(cluster.data() + "/base/1/113");
            std::filesystem::remove_all(cluster.data() + "/base/2");
        }
        if (entry.path == "base/3") {
            std::filesystem::remove_all(cluster.data() + "/base/3");
        }
    });

    CHECK(paths == Paths{"PG_VERSION",
                         "base",
                         "base/1",
                         "base/1/112",
                         "base/3",
                         "global",
                         "global/pg_control",
                         "pg_tblspc",
                         "pg_wal"});
}

TEST_CASE("a missing data directory is an error", "[postgres][scan]")
{
    const TemporaryDirectory directory;
    CHECK_THROWS_MATCHES(scan_data_directory(directory / "no", {}, [](DataEntry&&) {}),
                         Error,
                         HasCode(ErrorCode::path_missing));
}

TEST_CASE("a directory that cannot be read is an error with a hint", "[postgres][scan]")
{
    Cluster cluster;
    const std::string closed = cluster.data() + "/base";
    REQUIRE(::chmod(closed.c_str(), 0) == 0);
    REQUIRE(::chmod(parent_path(cluster.data()).c_str(), 0755) == 0);
    REQUIRE(::chmod(cluster.data().c_str(), 0755) == 0);
    const uid_t user = ::geteuid();
    constexpr uid_t kNobody = 65534;
    REQUIRE((user != 0 || ::seteuid(kNobody) == 0)); // root reads everything

    std::optional<Error> thrown;
    try {
        cluster.scan();
    } catch (const Error& error) {
        thrown = error;
    }

    REQUIRE(::seteuid(user) == 0);
    REQUIRE(::chmod(closed.c_str(), 0700) == 0);
    REQUIRE(thrown.has_value());
    CHECK(thrown->code() == ErrorCode::path_open);
    CHECK_FALSE(thrown->hint().empty());
}

TEST_CASE("a signal ends the scan", "[postgres][scan][bug-57]")
{
    Cluster cluster;
    set_pending_signal(SIGTERM);

    CHECK_THROWS_MATCHES(cluster.scan(), Error, HasCode(ErrorCode::terminated));

    set_pending_signal(0);
}
