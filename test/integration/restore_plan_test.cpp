// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

// restore --dry-run, and the room that a restore asks for.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

// Names, kinds, times and contents of all below a directory.
std::map<std::string, std::string> snapshot(const std::string& directory)
{
    std::map<std::string, std::string> result;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        auto& text = result[entry.path().string()];
        if (entry.is_symlink()) {
            text = fs::read_symlink(entry.path());
        } else if (entry.is_regular_file()) {
            text = read_file(entry.path().string());
        }
        if (!entry.is_symlink()) {
            text += std::to_string(entry.last_write_time().time_since_epoch().count());
        }
    }
    return result;
}

ProcessResult dry_run(const Site& site, std::vector<std::string> arguments)
{
    arguments.insert(arguments.begin(), {"restore", "--dry-run"});
    return site.run(arguments);
}

} // namespace

TEST_CASE("a dry run shows the plan of a restore and writes nothing", "[restore-plan][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    fs::create_directory(site.path("tablespace"));
    site.cluster().sql("CREATE TABLESPACE fast LOCATION '" + site.path("tablespace") + "'");
    site.cluster().sql("CREATE TABLE t TABLESPACE fast AS SELECT 1 AS a");
    const auto full = site.backup();
    site.cluster().sql("INSERT INTO t VALUES (2)");
    const auto incr = site.backup({"--type=incr"});
    site.cluster().sql("INSERT INTO t VALUES (3)");
    const auto last_wal = site.cluster().archive_current_segment();
    const auto target = site.new_path("target");
    const auto before = snapshot(site.path(""));
    const auto objects = site.objects("");

    const auto result = dry_run(site,
                                {"--pg1-path=" + target,
                                 "--tablespace-map=fast=" + site.path("other"),
                                 "--log-level-file=off",
                                 "--log-level-console=info"});

    CAPTURE(result.text());
    CHECK(result.status == 0);
    CHECK(snapshot(site.path("")) == before);
    CHECK(site.objects("") == objects);
    CHECK_FALSE(fs::exists(target));
    CHECK_THAT(result.out, Contains(incr + " (incr) in repo1"));
    CHECK_THAT(result.out, Contains("reads from:") && Contains(" " + full + "\n"));
    CHECK_THAT(result.out, Contains("to the end of the archive") && Contains("timeline:       1"));
    CHECK_THAT(result.out, Contains("WAL needed:") && Contains(": complete"));
    CHECK_THAT(result.out, Contains(" to " + last_wal + "\n") && !Contains("GAP"));
    CHECK_THAT(result.out, Contains("can reach:"));
    CHECK_THAT(result.out, Contains("-> " + site.path("other") + "\n"));
    CHECK_THAT(result.out, Contains("target:         " + target + "\n"));
    CHECK_THAT(result.out, Contains(": enough\n") && Contains("can be carried out"));
    // The log is apart from the plan.
    CHECK_THAT(result.out, !Contains("INFO") && !Contains("[DRY-RUN]"));
    CHECK_THAT(result.err, Contains("[DRY-RUN]"));
}

TEST_CASE("a dry run ends with the status of the restore that it plans", "[restore-plan]")
{
    Site site;
    const auto label = site.backup();
    site.cluster().archive_current_segment();
    const auto target = site.new_path("target");
    fs::create_directory(target);
    std::vector<std::string> options{"--pg1-path=" + target};
    int status = 0;
    std::string text;
    SECTION("a target that holds something")
    {
        write_file(target + "/something", "");
        status = 40;
        text = "--delta or --force";
    }
    SECTION("a server that runs")
    {
        options = {};
        status = 38;
        text = "postmaster.pid";
    }
    SECTION("WAL of the backup that is gone")
    {
        for (const auto& name : site.objects("archive/main/15-1/0000")) {
            fs::remove(site.repository() + "/" + name);
        }
        status = 55;
        text = "NOT COMPLETE";
    }
    SECTION("a time that the archive does not reach")
    {
        options.insert(options.end(), {"--type=time", "--target=2099-01-01 00:00:00+00"});
        status = 75;
        text = "cannot be reached";
    }
    SECTION("a directory that cannot be made")
    {
        options = {"--pg1-path=/proc/nothing/data"};
        status = 47;
        text = "/proc";
    }

    const auto planned = dry_run(site, options);
    auto real = options;
    real.insert(real.begin(), "restore");
    const auto before = snapshot(target);
    const auto restored = site.run(real);

    CAPTURE(planned.text(), restored.text());
    CHECK(planned.status == status);
    CHECK(restored.status == status);
    CHECK(snapshot(target) == before);
    // The rest of the plan is shown all the same.
    CHECK_THAT(planned.out, Contains(label + " (full)") && Contains("would fail"));
    CHECK_THAT(planned.out, Contains("PROBLEM") && Contains(text));
}

TEST_CASE("a dry run names the gap in the WAL at which recovery would end", "[restore-plan]")
{
    Site site;
    site.backup();
    const auto lost = site.cluster().archive_current_segment();
    const auto after = site.cluster().archive_current_segment();
    for (const auto& name : site.objects(lost)) {
        fs::remove(site.repository() + "/" + name);
    }

    const auto result = dry_run(site, {"--pg1-path=" + site.new_path("target")});

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("GAP: " + lost));
    CHECK_THAT(result.out, !Contains(after));
}

TEST_CASE("a dry run over an old cluster shows what is compared and removed", "[restore-plan]")
{
    Site site;
    site.cluster().load_pgbench(1);
    site.backup();
    site.cluster().archive_current_segment();
    site.cluster().stop();
    const auto stray = site.cluster().path("0stray");
    write_file(stray, "x");
    const auto before = snapshot(site.cluster().data_directory());

    const auto forced = dry_run(site, {"--force"});
    const auto delta = dry_run(site, {"--delta"});

    CHECK(snapshot(site.cluster().data_directory()) == before);
    CHECK(forced.status == 0);
    CHECK_THAT(forced.out, Contains("remove:") && !Contains("compare:"));
    CHECK_THAT(forced.out, Contains("taken by what is replaced"));
    CHECK(delta.status == 0);
    CHECK_THAT(delta.out, Contains("compare:") && Contains(stray + "\n"));
    CHECK_THAT(delta.out, Contains("write:          at most"));

    // What was announced is what happens: nothing else is gone.
    site.must({"restore", "--delta", "--type=immediate"});
    CHECK_FALSE(fs::exists(stray));
}

TEST_CASE("a restore that cannot fit is refused before anything is touched",
          "[restore-plan][full-disk]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Site site;
    fs::create_directory(site.path("tablespace"));
    site.cluster().sql("CREATE TABLESPACE big LOCATION '" + site.path("tablespace") + "'");
    site.cluster().sql("CREATE TABLE t TABLESPACE big AS "
                       "SELECT gen_random_uuid() FROM generate_series(1, 200000)");
    site.backup();
    const auto target = site.new_path("target");
    disk->fill_until(4 * kMebibyte);
    const std::vector<std::string> options{"--pg1-path=" + target,
                                           "--tablespace-map=big=" + disk->path() + "/ts"};
    auto restore = options;
    restore.insert(restore.begin(), "restore");

    const auto planned = dry_run(site, options);
    CHECK(planned.status == 64);
    CHECK_THAT(planned.out, Contains("NOT ENOUGH") && Contains(": enough"));
    const auto refused = site.run(restore);
    CHECK(refused.status == 64);
    CHECK_THAT(refused.text(), Contains("No space left") || Contains("no space left"));
    CHECK_FALSE(fs::exists(target));
    CHECK_FALSE(fs::exists(disk->path() + "/ts"));

    // Who knows better may try; then the disk is full and nothing starts.
    auto forced = restore;
    forced.emplace_back("--force");
    const auto tried = site.run(forced);
    CHECK(tried.status == 64);
    CHECK_THAT(tried.text(), Contains("No space left"));
    CHECK_FALSE(fs::exists(target + "/global/pg_control"));
}

TEST_CASE("the room of what is replaced counts as free", "[restore-plan][full-disk]")
{
    const auto disk = SmallDisk::acquire();
    if (!disk) {
        return;
    }
    Site site;
    site.backup();
    const auto target = disk->path() + "/data";
    const auto option = GENERATE("--delta", "--force");
    CAPTURE(option);
    site.must({"restore", "--pg1-path=" + target, "--type=immediate"});
    disk->fill_until(kMebibyte);

    const auto planned = dry_run(site, {"--pg1-path=" + target, "--type=immediate", option});
    CHECK(planned.status == 0);
    CHECK_THAT(planned.out, Contains(": enough") && !Contains("NOT ENOUGH"));
    CHECK(site.run({"restore", "--pg1-path=" + target, "--type=immediate", option}).status == 0);
}
