// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

// Asynchronous, with segments that are archived or wait for it.
struct Queue {
    explicit Queue(const std::string& disk) : spool(disk + "/spool")
    {
        fs::create_directory(spool);
        site.set_archiving(false);
        for (int i = 0; i < 6; ++i) {
            names.push_back(site.cluster().sql(
                "SELECT pg_walfile_name(pg_logical_emit_message(true, 'x', 'y'))"));
            site.cluster().sql("SELECT pg_switch_wal()");
        }
    }
    ProcessResult run(const std::vector<std::string>& arguments) const
    {
        return site.run(
            arguments,
            {.environment = {{"PGSTRATA_SPOOL_PATH", spool}, {"PGSTRATA_ARCHIVE_TIMEOUT", "5s"}}});
    }
    std::string wal(const std::string& name) { return site.cluster().path("pg_wal/" + name); }

    std::string spool;
    Site site{{.cluster = {.wal_segment_mb = 1}, .settings = {"archive-async=y"}}};
    std::vector<std::string> names;
};

SiteOptions with_repository(const std::string& path)
{
    return {.repository = path};
}

} // namespace

TEST_CASE("a backup into a full repository fails, leaves no backup, and works once there is room",
          "[full-disk][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Site site(with_repository(disk->path() + "/repository"));
    site.cluster().sql(
        "CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 200000)");
    site.cluster().archive_current_segment();
    disk->fill_until(2 * kMebibyte);

    const auto result = site.run({"backup", "--type=full"});

    CHECK(result.status != 0);
    CHECK(result.text().find("No space left") != std::string::npos);
    CHECK(site.labels().empty());
    disk->release();
    site.backup();
    CHECK(site.labels().size() == 1);
}

TEST_CASE("WAL pushed into a full repository is not acknowledged and arrives once there is room",
          "[full-disk][bug-17][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    auto options = with_repository(disk->path() + "/repository");
    options.cluster.settings = {"wal_keep_size = '1GB'"};
    Site site(options);
    disk->fill_until(64 * 1024);
    site.cluster().sql(
        "CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 50000)");
    const auto name = site.cluster().sql("SELECT pg_walfile_name(pg_switch_wal())");
    const auto path = site.cluster().path("pg_wal/" + name);

    CHECK(site.run({"archive-push", path}).status != 0);
    CHECK(site.run({"archive-get", name, site.path("got")}).status == 1);
    CHECK(site.objects(name).empty());

    disk->release();
    CHECK(site.run({"archive-push", path}).status == 0);
    CHECK(site.run({"archive-get", name, site.path("got")}).status == 0);
    CHECK(read_file(site.path("got")) == read_file(path));
}

TEST_CASE("a restore onto a full disk fails and leaves nothing that starts",
          "[full-disk][bug-37][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Site site;
    site.backup();
    const auto target = disk->path() + "/data";
    fs::create_directory(target);
    disk->fill_until(8 * kMebibyte);

    // Without --force it would be refused, since it can be known.
    const auto result = site.run({"restore", "--force", "--pg1-path=" + target});

    CHECK(result.status != 0);
    CHECK(result.text().find("No space left") != std::string::npos);
    Cluster half(15, target);
    CHECK_FALSE(half.try_start());
}

TEST_CASE("a full spool keeps no segment from being archived and has none acknowledged early",
          "[full-disk][async][bug-17][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Queue queue(disk->path());
    // For no mark at all, and for a few of them, which may do when they are taken at once.
    const auto room = GENERATE(as<std::uint64_t>(), 0, 8192);
    disk->fill_until(room);
    std::size_t refused = 0;
    for (const auto& name : queue.names) {
        const auto result = queue.run({"archive-push", queue.wal(name)});
        CAPTURE(name, result.text());
        if (result.status == 0) {
            CHECK(queue.site.objects(name).size() == 1);
        } else {
            ++refused;
            CHECK_THAT(result.text(),
                       Catch::Contains("No space left") || Catch::Contains("unable to push"));
        }
    }
    CHECK((refused > 0 || room > 0));

    disk->release();
    for (const auto& name : queue.names) {
        CHECK(queue.run({"archive-push", queue.wal(name)}).status == 0);
        CHECK(queue.site.objects(name).size() == 1);
    }
}

TEST_CASE("a full spool keeps no segment from recovery", "[full-disk][async][bug-24][bug-45]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Queue queue(disk->path());
    for (const auto& name : queue.names) {
        queue.site.must({"archive-push", queue.wal(name)});
    }
    // Room for a part of a segment.
    disk->fill_until(GENERATE(as<std::uint64_t>(), 0, kMebibyte / 2));
    const auto target = queue.site.path("got");
    for (const auto& name : queue.names) {
        CAPTURE(name);
        CHECK(queue.run({"archive-get", name, target}).status == 0);
        CHECK(read_file(target) == read_file(queue.wal(name)));
        fs::remove(target);
    }
    CHECK(queue.run({"archive-get", "0000000100000000000000FE", target}).status == 1);
}
