// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"
#include "support/swift.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <stdexcept>

// What is done with a repository on a disk, done with one in a bucket.

using namespace pgstrata::test;
using Catch::Contains;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

SiteOptions in_bucket(const Swift& swift, const std::string& cipher = {})
{
    return {.cipher = cipher, .settings = swift.repository(1)};
}

void change(const Cluster& cluster, int number)
{
    cluster.sql("UPDATE pgbench_accounts SET abalance = " + std::to_string(number) +
                " WHERE aid % 100 = " + std::to_string(number) + "; CREATE TABLE t" +
                std::to_string(number) + " AS SELECT generate_series(1, 1000) AS i");
    settle(cluster);
}

std::size_t count(const std::string& text, const std::string& part)
{
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

void make_wal(const Cluster& cluster, int segments)
{
    for (int i = 0; i < segments; ++i) {
        cluster.sql("SELECT pg_logical_emit_message(true, 'x', repeat('y', 900000))");
        cluster.sql("SELECT pg_switch_wal()");
    }
}

} // namespace

TEST_CASE("a chain in a bucket is restored from any of its backups", "[s3][incremental]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Chain chain(in_bucket(*swift, "aes-256-gcm"));
    chain.cluster().load_pgbench(1);
    settle(chain.cluster());
    std::vector<std::pair<std::string, std::string>> backups; // label and what it holds
    int number = 0;
    for (const auto* type : {"full", "diff", "incr", "incr"}) {
        change(chain.cluster(), ++number);
        // Which leaves traces in pages and catalogs.
        const auto rows = fingerprint(chain.cluster());
        settle(chain.cluster());
        backups.emplace_back(chain.take({"--type=" + std::string(type)}), rows);
    }

    CHECK(chain.differences_from_full() == Strings{});
    for (const auto& [label, rows] : {backups.at(0), backups.at(2)}) {
        CAPTURE(label);
        auto restored = chain.restore(label);
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == rows);
        restored.stop();
        CHECK(restored.verify_checksums());
    }
    CHECK(count(chain.site().must({"repo-ls", "--repo=1", "--recurse", "backup/main"}).out,
                "backup.json") == 4);
}

TEST_CASE("a delta restore from a bucket mends what is damaged", "[s3][restore]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Site site(in_bucket(*swift));
    auto& cluster = site.cluster();
    cluster.load_pgbench(2);
    settle(cluster);
    site.backup();
    const auto rows = fingerprint(cluster);
    const auto accounts =
        cluster.path(cluster.sql("SELECT pg_relation_filepath('pgbench_accounts')"));
    cluster.sql("UPDATE pgbench_accounts SET abalance = 1 WHERE aid < 1000; CHECKPOINT");
    cluster.stop();
    flip_byte(accounts, 5 * 8192 + 4000);

    site.must({"restore", "--delta", "--type=immediate", "--target-action=promote"});

    cluster.start();
    cluster.wait_until_promoted();
    CHECK(fingerprint(cluster) == rows);
    cluster.stop();
    CHECK(cluster.verify_checksums());
}

TEST_CASE("a backup into a bucket that was killed is taken up again", "[s3][resume]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    Chain chain(in_bucket(*swift));
    chain.cluster().sql(
        "CREATE TABLE large AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS text "
        "FROM generate_series(1, 250000) AS i");
    chain.cluster().sql("VACUUM large");
    settle(chain.cluster());
    const auto journals = [&] {
        const auto all = chain.site().run({"repo-ls", "--repo=1", "--recurse", "backup/main"});
        return count(all.out, "/journal/0");
    };
    auto backup = chain.site().start({"backup",
                                      "--repo=1",
                                      "--type=full",
                                      "--compress-type=zst",
                                      "--compress-level=13",
                                      "--process-max=1",
                                      "--repo1-pack-size=1MiB"});
    wait_until("some finished packs", [&] {
        if (!backup.is_running()) {
            throw std::runtime_error("the backup ended too early: " + backup.wait().text());
        }
        return journals() >= 2;
    });
    backup.signal(SIGKILL);
    backup.wait();
    CHECK(chain.backups().empty());

    const auto result = chain.backup({"--type=full"});

    INFO(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), Contains("it is resumed"));
    CHECK(journals() == 0);
    CHECK(chain.differences_from_full() == Strings{});
}

TEST_CASE("WAL goes to a bucket in the background and comes back through the queue",
          "[s3][async][archive]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    SiteOptions options = in_bucket(*swift, "aes-256-gcm");
    options.cluster.wal_segment_mb = 1;
    // The newest there is: WAL of one version is not that of another.
    options.cluster.major = test_majors().back();
    CAPTURE(options.cluster.major);
    options.settings.emplace_back("archive-async=y");
    options.settings.emplace_back("archive-get-queue-max=8MB");
    Site site(options);
    auto& cluster = site.cluster();
    cluster.load_pgbench(1);
    site.backup();
    cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS n");
    make_wal(cluster, 20);
    cluster.sql("INSERT INTO t VALUES (11)");
    const auto last = cluster.archive_current_segment();
    CHECK(site.run({"archive-get", last, site.new_path("got")}).status == 0);
    CHECK(site.run({"archive-get", "0000000100000000000000FE", site.new_path("got")}).status == 1);
    const auto rows = fingerprint(cluster);
    cluster.stop();

    auto restored = site.restore({});
    restored.start();
    restored.wait_until_promoted();

    CHECK(fingerprint(restored) == rows);
    CHECK_THAT(read_file(site.path("log/main-archive-get-async.log")),
               Contains("segment(s) ahead"));
}

TEST_CASE("what a disk has lost comes from the bucket beside it", "[s3][two-repositories][bug-24]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const TemporaryDirectory tag;
    auto settings = swift->repository(2);
    settings.push_back("repo2-path=" + tag.path());
    settings.emplace_back("repo2-retention-full=9");
    Site site({.settings = settings});
    auto& cluster = site.cluster();
    cluster.load_pgbench(1);
    site.backup({"--repo=2", "--type=full"});
    const auto name = cluster.archive_current_segment();
    cluster.sql("CREATE TABLE t AS SELECT 42 AS n");
    cluster.archive_current_segment();
    const auto wanted = site.new_path("wanted");
    REQUIRE(site.run({"archive-get", "--repo=1", name, wanted}).status == 0);
    fs::remove_all(site.repository() + "/archive/main/15-1/" + name.substr(0, 16));

    const auto got = site.new_path("got");
    CHECK(site.run({"archive-get", "--repo=1", name, got}).status == 1);
    CHECK(site.run({"archive-get", name, got}).status == 0);
    CHECK(read_file(got) == read_file(wanted));
    cluster.stop();
    // Neither the backup nor its WAL is in the first.
    auto restored = site.restore({});
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT n FROM t") == "42");
}

TEST_CASE("a bucket that is away does not keep the disk beside it from its copy",
          "[s3][two-repositories][bug-17]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const TemporaryDirectory tag;
    auto settings = swift->repository(2);
    settings.push_back("repo2-path=" + tag.path());
    Site site({.cluster = {.settings = {"wal_keep_size = '1GB'"}}, .settings = settings});
    site.cluster().archive_current_segment();
    site.must({"stop"}); // the server tries again and again
    const auto name = site.cluster().sql("SELECT pg_walfile_name(pg_create_restore_point('x'))");
    site.cluster().sql("SELECT pg_switch_wal()");
    const auto path = site.cluster().path("pg_wal/" + name);
    site.cluster().add_setting("archive_command = '/bin/true'");
    site.cluster().restart();
    site.must({"start"});

    const auto failed =
        site.run({"archive-push", path},
                 {.environment = {{"PGSTRATA_REPO2_S3_ENDPOINT", "http://127.0.0.1:1"},
                                  {"PGSTRATA_IO_TIMEOUT", "300ms"}}});

    CHECK(failed.status == 104);
    CHECK_THAT(failed.text(), Contains("repo2: [") && !Contains("repo1: ["));
    CHECK(site.run({"archive-get", "--repo=1", name, site.new_path("got")}).status == 0);
    CHECK(site.run({"archive-get", "--repo=2", name, site.new_path("got")}).status == 1);
    site.must({"archive-push", path});
    CHECK(site.run({"archive-get", "--repo=2", name, site.new_path("got")}).status == 0);
}

TEST_CASE("credentials that run out are asked for again in the middle of a command", "[s3][bug-44]")
{
    const Swift* swift = Swift::get();
    if (swift == nullptr) {
        return;
    }
    const TemporaryDirectory directory;
    const auto calls = directory / "calls";
    const auto program = directory / "keys";
    // They are renewed five minutes before they end, so these last for a second.
    write_file(program,
               "#!/bin/sh\necho call >>" + calls +
                   "\nprintf '{\"Version\": 1, \"AccessKeyId\": \"" + swift->access_key +
                   "\", \"SecretAccessKey\": \"" + swift->secret_key +
                   "\", \"Expiration\": \"%s\"}' \"$(date -u -d '+301 seconds' "
                   "+%Y-%m-%dT%H:%M:%SZ)\"\n");
    fs::permissions(program, fs::perms(0700));
    auto settings = swift->repository(1);
    std::erase_if(settings, [](const auto& line) { return line.find("s3-key") != line.npos; });
    settings.emplace_back("repo1-s3-key-type=process");
    settings.push_back("repo1-s3-process-cmd=" + program);
    Site site({.settings = settings});
    site.cluster().load_pgbench(1);
    write_file(calls, "");

    // Slowly, so that it takes longer than a second.
    site.backup({"--type=full", "--compress-level=13", "--process-max=1"});

    CHECK(count(read_file(calls), "call") > 2);
}
