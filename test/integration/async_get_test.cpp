// SPDX-License-Identifier: PostgreSQL
#include "integration/async_site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata::test;

namespace fs = std::filesystem;

TEST_CASE("a restored cluster recovers through the queue", "[async][restore][bug-24][bug-26]")
{
    const auto retry = GENERATE(as<std::string>(), "y", "n");
    Site site(asynchronous({"archive-get-queue-max=8MB", "archive-missing-retry=" + retry}));
    site.cluster().load_pgbench(1);
    site.backup();
    site.cluster().sql("CREATE TABLE t AS SELECT generate_series(1, 10) n");
    make_wal(site, 35);
    site.cluster().sql("INSERT INTO t VALUES (11)");
    site.cluster().archive_current_segment();
    wait_until_archived(site);
    site.cluster().stop();
    // Of other clusters and times.
    fs::create_directories(spool(site, "in"));
    write_file(spool(site, "in/000000010000000000000005.ok"), "");
    write_file(spool(site, "in/0000000100000000000000FF-x"), "half");

    auto restored = site.restore({"--log-level-file=info"});
    CHECK(fs::is_empty(spool(site, "in")));
    restored.start();
    restored.wait_until_promoted();

    CHECK(restored.sql("SELECT count(*) FROM t") == "11");
    CHECK_THAT(log_text(site, "main-archive-get-async.log"), Catch::Contains("segment(s) ahead"));
    std::size_t queued = 0;
    for (const auto& entry : fs::directory_iterator(spool(site, "in"))) {
        queued += entry.path().filename().string().size() > 60 ? 1U : 0U;
    }
    CHECK(queued <= 8);
}

TEST_CASE("what is in the queue is checked before it is handed out", "[async][archive][bug-17]")
{
    Site site(asynchronous({"archive-get-queue-max=8MB"}));
    const auto first = site.cluster().archive_current_segment();
    make_wal(site, 4);
    wait_until_archived(site);
    wait_until_idle(site);
    const auto before = archived(site);
    const auto second = *std::next(before.find(first));
    const auto target = site.new_path("got");
    REQUIRE(site.run({"archive-get", first, target}).status == 0);
    std::string entry;
    wait_until("the next segment in the queue", [&] {
        const auto queue = spool(site, "in");
        for (const auto& file : fs::directory_iterator(fs::exists(queue) ? queue : ".")) {
            const auto name = file.path().filename().string();
            entry = name.starts_with(second + "-") ? file.path().string() : entry;
        }
        return !entry.empty() && background_process(site) == 0;
    });
    const auto good = read_file(entry);
    SECTION("whole")
    {
        const auto result =
            site.run({"archive-get", second, target}, {.environment = {{"LD_DEBUG", "files"}}});
        CHECK(result.status == 0);
        CHECK_FALSE(fs::exists(entry));
        CHECK_THAT(result.text(), Catch::Contains("libc.so") && !Catch::Contains("libcrypto"));
    }
    SECTION("behind a mount of the same filesystem")
    {
        if (run_process({"/usr/bin/unshare", "--map-root-user", "--mount", "/bin/true"}).status !=
            0) {
            report_skip("a queue behind a mount: no user namespace can be made here");
            return;
        }
        const auto result = run_process({"/usr/bin/unshare",
                                         "--map-root-user",
                                         "--mount",
                                         "/bin/sh",
                                         "-c",
                                         "mount --bind \"$0\" \"$0\" && exec \"$@\"",
                                         site.path("spool"),
                                         program_under_test(),
                                         "--config=" + site.configuration(),
                                         "--stanza=main",
                                         "--allow-root",
                                         "archive-get",
                                         second,
                                         target});
        CHECK(result.status == 0);
        CHECK_THAT(result.text(), !Catch::Contains("cannot be used"));
        CHECK_FALSE(fs::exists(entry));
    }
    SECTION("damaged")
    {
        flip_byte(entry, 500000);
        CHECK(site.run({"archive-get", second, target}).status == 0);
    }
    SECTION("cut off")
    {
        fs::resize_file(entry, 8192);
        CHECK(site.run({"archive-get", second, target}).status == 0);
    }
    SECTION("spool out of reach")
    {
        set_permissions(site.path("spool"), 0000);
        CHECK(site.run({"archive-get", second, target}).status == 0);
        set_permissions(site.path("spool"), 0750);
    }
    CHECK(read_file(target) == good);
}

TEST_CASE("absence is proved by the repository, never by a mark", "[async][archive][bug-24]")
{
    const auto retry = GENERATE(as<std::string>(), "y", "n");
    Site site(asynchronous({"archive-missing-retry=" + retry}));
    const auto name = site.cluster().archive_current_segment();
    const auto target = site.new_path("got");
    fs::create_directories(spool(site, "in"));
    write_file(spool(site, "in/" + name + ".ok"), "");

    CHECK(site.run({"archive-get", name, target}).status == 0);

    const auto missing = current_segment(site);
    CHECK(site.run({"archive-get", missing, target}).status == 1);
    write_file(spool(site, "in/" + missing + ".ok"), "");
    set_permissions(site.repository(), 0000);
    CHECK(site.run({"archive-get", missing, target}).status > 125);
    set_permissions(site.repository(), 0750);
}
