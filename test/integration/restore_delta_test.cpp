// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

using namespace pgstrata::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kImmediate = {"restore",
                                             "--delta",
                                             "--type=immediate",
                                             "--target-action=promote",
                                             "--log-level-console=detail"};

// A cluster with a backup, which ran on afterwards and is stopped.
struct StoppedSite : Site {
    StoppedSite()
    {
        fs::create_directory(path("tablespace"));
        cluster().sql("CREATE TABLESPACE fast LOCATION '" + path("tablespace") + "'");
        cluster().sql("CREATE TABLE elsewhere TABLESPACE fast AS SELECT generate_series(1, 50000)");
        cluster().load_pgbench(5);
        cluster().sql("CREATE TABLE wanted AS SELECT generate_series(1, 20000) AS a; CHECKPOINT");
        accounts = cluster().path(cluster().sql("SELECT pg_relation_filepath('pgbench_accounts')"));
        index =
            cluster().path(cluster().sql("SELECT pg_relation_filepath('pgbench_accounts_pkey')"));
        wanted = cluster().path(cluster().sql("SELECT pg_relation_filepath('wanted')"));
        moved = cluster().path(cluster().sql("SELECT pg_relation_filepath('elsewhere')"));
        branches = cluster().path(cluster().sql("SELECT pg_relation_filepath('pgbench_branches')"));
        backup();
        cluster().sql("UPDATE wanted SET a = -a WHERE a < 100; CREATE TABLE unwanted AS SELECT 1");
        cluster().sql("UPDATE pgbench_accounts SET abalance = 1 WHERE aid BETWEEN 1000 AND 1010");
        unwanted = cluster().path(cluster().sql("SELECT pg_relation_filepath('unwanted')"));
        cluster().stop();
    }

    // The tablespace goes to another place: its link differs, and nothing else may.
    void check_as_restored_anew()
    {
        const std::string target = new_path("anew");
        must({"restore",
              "--pg1-path=" + target,
              "--tablespace-map=fast=" + new_path("moved"),
              "--type=immediate",
              "--target-action=promote"});
        CHECK(compare_data_directories(cluster().data_directory(), target).empty());
    }

    void check_rows()
    {
        cluster().start();
        cluster().wait_until_promoted();
        CHECK(cluster().sql("SELECT min(a), max(a) FROM wanted") == "1|20000");
        CHECK(cluster().sql("SELECT count(*), sum(abalance) FROM pgbench_accounts") == "500000|0");
        CHECK(cluster().sql("SELECT count(*) FROM elsewhere") == "50000");
        cluster().stop();
        cluster().verify_checksums();
    }

    std::string accounts;
    std::string index;
    std::string wanted;
    std::string moved;
    std::string branches;
    std::string unwanted;
};

} // namespace

TEST_CASE_METHOD(StoppedSite,
                 "a delta restore mends a cluster that was damaged in every way",
                 "[restore][delta][bug-35]")
{
    flip_byte(accounts, 1000000);
    flip_byte(accounts, -10);
    fs::resize_file(index, fs::file_size(index) / 2);
    fs::resize_file(wanted, fs::file_size(wanted) + 100000);
    fs::resize_file(moved, 4096);
    fs::remove(branches);
    fs::create_directories(branches + "/sub");
    fs::remove(cluster().path("pg_xact/0000"));
    fs::permissions(accounts, fs::perms(0400));
    fs::permissions(cluster().path("base"), fs::perms(0755));
    write_file(cluster().path("global/stray"), "x");
    REQUIRE(::mkfifo(cluster().path("base/pipe").c_str(), 0600) == 0);
    fs::create_directory(path("elsewhere"));
    write_file(path("elsewhere/precious"), "x");
    fs::remove_all(cluster().path("pg_subtrans"));
    fs::create_directory_symlink(path("elsewhere"), cluster().path("pg_subtrans"));
    fs::create_directory_symlink(path("elsewhere"), cluster().path("base/link"));

    const auto result = must(kImmediate);

    CHECK_THAT(result.out, Contains(accounts) && Contains("exists and matches backup"));
    CHECK_FALSE(fs::exists(unwanted));
    CHECK(read_file(path("elsewhere/precious")) == "x");
    check_as_restored_anew();
    check_rows();
}

TEST_CASE_METHOD(StoppedSite,
                 "a delta restore reads a cluster that is right and leaves it",
                 "[restore][delta]")
{
    must(kImmediate);
    const auto before = fs::last_write_time(accounts);

    const bool is_forced = GENERATE(false, true);
    auto arguments = kImmediate;
    if (is_forced) {
        arguments.emplace_back("--force");
    }
    const auto result = must(arguments);

    CHECK(fs::last_write_time(accounts) == before);
    CHECK_THAT(result.out,
               Contains(is_forced ? "exists and matches size/time" : "exists and matches backup"));
    check_as_restored_anew();
    check_rows();
}

TEST_CASE_METHOD(StoppedSite,
                 "a delta restore that was killed never leaves a server that starts",
                 "[restore][delta][bug-37]")
{
    bool was_interrupted = false;
    for (const int milliseconds : {20, 60, 120, 250, 500}) {
        CAPTURE(milliseconds);
        fs::resize_file(accounts, 8192);
        auto restore = start(kImmediate);
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        if (!restore.is_running()) {
            CHECK(restore.wait().status == 0);
            break;
        }
        restore.signal(SIGKILL);
        restore.wait();
        was_interrupted = true;
        if (!fs::exists(cluster().path("global/pg_control"))) {
            CHECK_FALSE(cluster().try_start());
        }
    }
    CHECK(was_interrupted);

    must(kImmediate);

    check_as_restored_anew();
    check_rows();
}

TEST_CASE("a delta restore wants a cluster that is stopped", "[restore][delta][bug-36]")
{
    Site site;
    site.backup();
    CHECK(site.run(kImmediate).status == 38);
    site.cluster().stop();
    fs::remove(site.cluster().path("PG_VERSION"));
    CHECK(site.run(kImmediate).status == 40);
    CHECK(fs::exists(site.cluster().path("global/pg_control")));
}
