// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMiB = 1 << 20;

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
    disk->fill_until(2 * kMiB);

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
    disk->fill_until(8 * kMiB);

    const auto result = site.run({"restore", "--pg1-path=" + target});

    CHECK(result.status != 0);
    CHECK(result.text().find("No space left") != std::string::npos);
    Cluster half(15, target);
    CHECK_FALSE(half.try_start());
}
