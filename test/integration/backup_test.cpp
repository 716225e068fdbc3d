// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>
#include <fmt/core.h>

#include <signal.h>

#include <algorithm>
#include <filesystem>

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

// Copying this much at this level takes long enough to be interrupted; small packs show soon that
// it has begun.
const std::vector<std::string> kSlowBackup{"backup",
                                           "--type=full",
                                           "--compress-type=zst",
                                           "--compress-level=12",
                                           "--process-max=1",
                                           "--repo1-pack-size=1MiB"};

void load_slow_data(Site& site)
{
    site.cluster().sql("CREATE TABLE slow AS SELECT md5(i::text) || md5((-i)::text) AS text FROM "
                       "generate_series(1, 400000) AS i");
}

// Returns when the backup has begun to store file data.
void wait_for_copy(Site& site, BackgroundProcess& backup)
{
    wait_until("the backup's first stored bytes", [&] {
        if (!backup.is_running()) {
            throw std::runtime_error("the backup ended too early: " + backup.wait().text());
        }
        const auto objects = site.objects("backup/main/");
        return std::any_of(objects.begin(), objects.end(), [&](const auto& name) {
            std::error_code gone;
            const auto size = fs::file_size(site.repository() + "/" + name, gone);
            return !gone && size > 100'000;
        });
    });
}

bool has_other_session(const Cluster& cluster)
{
    return cluster.sql(
               "SELECT count(*) > 1 FROM pg_stat_activity WHERE backend_type = 'client backend'") ==
           "t";
}

} // namespace

TEST_CASE("a second backup of the stanza is refused while one runs", "[backup][bug-46]")
{
    Site site;
    load_slow_data(site);
    auto first = site.start(kSlowBackup);
    wait_for_copy(site, first);

    const auto second = site.run({"backup", "--type=full"});

    CHECK(second.status == 50);
    CHECK(second.text().find(site.path("lock")) != std::string::npos);
    CHECK(first.is_running());
    first.signal(SIGTERM);
    first.wait();
    CHECK(site.run({"backup", "--type=full"}).status == 0);
}

TEST_CASE("a backup told to end does so cleanly and takes the server out of backup mode",
          "[backup][bug-57]")
{
    const auto number = GENERATE(SIGTERM, SIGINT);
    CAPTURE(number);
    Site site;
    load_slow_data(site);
    auto backup = site.start(kSlowBackup);
    wait_for_copy(site, backup);
    REQUIRE(has_other_session(site.cluster()));

    backup.signal(number);
    const auto ended = backup.wait();

    CHECK(ended.status == 63);
    wait_until("the end of the backup's session",
               [&] { return !has_other_session(site.cluster()); });
    CHECK(site.labels().empty());
    CHECK(site.objects(".lock").empty());
    site.backup();
    CHECK(site.labels().size() == 1);
}

TEST_CASE("after a killed backup the next one works and only it is listed",
          "[backup][bug-1][bug-46]")
{
    Site site;
    load_slow_data(site);
    {
        auto backup = site.start(kSlowBackup);
        wait_for_copy(site, backup);
    } // killed here
    CHECK(site.labels().empty());
    site.cluster().sql("UPDATE slow SET text = 'changed' || text WHERE text < '1'");
    const auto sum = site.cluster().sql("SELECT sum(hashtext(text)) FROM slow");

    site.backup();

    CHECK(site.labels().size() == 1);
    auto restored = site.restore({"--type=immediate", "--target-action=promote"});
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT sum(hashtext(text)) FROM slow") == sum);
}

TEST_CASE("a backup whose server dies ends soon, is not listed, and the next one works",
          "[backup][bug-14]")
{
    Site site;
    load_slow_data(site);
    auto backup = site.start(kSlowBackup);
    wait_for_copy(site, backup);

    site.cluster().kill();
    const auto ended = backup.wait();

    CHECK(ended.status == 56);
    CHECK(site.labels().empty());
    CHECK(site.objects("/lease").empty());
    site.cluster().start();
    site.backup({"--type=full", "--no-resume"});
    CHECK(site.labels().size() == 1);
    CHECK(site.objects("backup/main/").size() == site.objects(site.labels().front() + "/").size());
}

TEST_CASE("a damaged page is reported and the backup succeeds", "[backup][bug-12]")
{
    Site site;
    site.cluster().sql("CREATE TABLE damaged AS SELECT generate_series(1, 5000) AS a; CHECKPOINT");
    const auto file = site.cluster().sql("SELECT pg_relation_filepath('damaged')");
    site.cluster().stop();
    flip_byte(site.cluster().path(file), 2 * 8192 + 4000);
    site.cluster().start();

    const auto result = site.run({"backup", "--type=full"});

    CHECK(result.status == 0);
    CHECK(result.text().find("WARN") != std::string::npos);
    CHECK(result.text().find(file) != std::string::npos);
    const auto backup = site.info({"--set=" + site.labels().back()}).at("backup").at(0);
    CHECK(backup.at("error") == true);
    CHECK(backup.at("error-list").dump().find(file) != std::string::npos);
}

TEST_CASE("a relation file that ends within a page is reported and stored as it is",
          "[backup][bug-12]")
{
    const std::string tail(GENERATE(as<std::size_t>(), 100, 512), 'x');
    Site site;
    site.cluster().sql("CREATE TABLE torn AS SELECT generate_series(1, 5000) AS a; CHECKPOINT");
    const auto file = site.cluster().sql("SELECT pg_relation_filepath('torn')");
    const auto path = site.cluster().path(file);
    site.cluster().stop();
    write_file(path, read_file(path) + tail);
    const auto content = read_file(path);
    site.cluster().start();

    const auto result = site.run({"backup", "--type=full"});

    CHECK(result.status == 0);
    CHECK_THAT(result.text(),
               Catch::Contains(fmt::format("page misalignment in file {}: file size {} is not "
                                           "divisible by page size 8192",
                                           path,
                                           content.size())));
    const auto backup = site.info({"--set=" + site.labels().back()}).at("backup").at(0);
    CHECK(backup.at("error") == true);
    CHECK(backup.at("error-list").at(0) == file);
    CHECK(read_file(site.restore({}).path(file)) == content);
}

TEST_CASE("a sound cluster has no page errors under load", "[backup][bug-12]")
{
    Site site;
    site.cluster().load_pgbench(2);
    auto load = site.cluster().start_pgbench(4);

    const auto result = site.run({"backup", "--type=full", "--log-level-console=warn"});
    load.wait();

    CHECK(result.status == 0);
    CHECK(result.text().find("WARN") == std::string::npos);
    CHECK(site.info().at("backup").at(0).at("error") == false);
}

TEST_CASE("excluded paths are left out and everything like them stays", "[backup][bug-5]")
{
    Site site;
    for (const auto* directory : {"junk", "junk2", "kept"}) {
        fs::create_directory(site.cluster().path(directory));
        write_file(site.cluster().path(std::string(directory) + "/file"), "x");
    }
    const auto result = site.must({"backup",
                                   "--type=full",
                                   "--log-level-console=info",
                                   "--exclude=junk/",
                                   "--exclude=kept/file"});

    auto restored = site.restore({});

    CHECK_THAT(result.text(),
               Catch::Contains("INFO: exclude contents of '" + site.cluster().path("junk") +
                               "' from backup using 'junk/' exclusion") &&
                   Catch::Contains("INFO: exclude '" + site.cluster().path("kept/file") +
                                   "' from backup using 'kept/file' exclusion"));
    CHECK(fs::is_directory(restored.path("junk")));
    CHECK(fs::is_empty(restored.path("junk")));
    CHECK(fs::exists(restored.path("junk2/file")));
    CHECK(fs::is_directory(restored.path("kept")));
    CHECK_FALSE(fs::exists(restored.path("kept/file")));
}

TEST_CASE("temporary and unlogged data and server state are not backed up", "[backup][bug-8]")
{
    Site site;
    auto& cluster = site.cluster();
    cluster.sql(
        "CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS a; CHECKPOINT");
    const auto unlogged = cluster.sql("SELECT pg_relation_filepath('unlogged')");
    const auto database = fs::path(unlogged).parent_path().string();
    cluster.sql("SELECT pg_create_physical_replication_slot('slot', true)");
    const std::vector<std::string> left_out{database + "/t3_99999",
                                            database + "/pg_internal.init",
                                            database + "/pgsql_tmp1.1",
                                            "pg_replslot/slot/state",
                                            unlogged,
                                            "pg_subtrans/0000",
                                            "postmaster.opts",
                                            "postmaster.pid"};
    for (const auto& name : {left_out[0], left_out[1], left_out[2]}) {
        write_file(cluster.path(name), "x");
    }
    site.backup();

    auto restored = site.restore({"--archive-mode=off"});

    for (const auto& name : left_out) {
        CAPTURE(name);
        CHECK_FALSE(fs::exists(restored.path(name)));
    }
    CHECK(fs::exists(restored.path(unlogged + "_init")));
    CHECK(fs::is_directory(restored.path("pg_replslot")));
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT count(*) FROM unlogged") == "0");
}

TEST_CASE("a backup needs archiving that works", "[backup][bug-59]")
{
    const auto& [line, status] =
        GENERATE(table<std::string, int>({{"archive_mode = off", 87},
                                          {"archive_mode = always", 67},
                                          {"archive_command = '/bin/true'", 68}}));
    CAPTURE(line);
    Site site;
    site.cluster().add_setting(line);
    site.cluster().restart();

    CHECK(site.run({"backup", "--type=full", "--archive-timeout=3s"}).status == status);
    CHECK(site.labels().empty());
}

TEST_CASE("a backup whose WAL does not arrive fails", "[backup][bug-59]")
{
    Site site;
    site.cluster().add_setting("archive_command = '/bin/false pgstrata'");
    site.cluster().restart();

    CHECK(site.run({"backup", "--type=full", "--archive-timeout=2s"}).status == 82);
    CHECK(site.labels().empty());
}

TEST_CASE("a backup whose WAL a stop file holds back names the stop file", "[backup][stop][bug-59]")
{
    Site site;
    site.set_archiving(false);
    auto backup = site.start({"backup", "--type=full", "--archive-timeout=5s"});
    wait_until("the backup's lease", [&] { return !site.objects("/lease").empty(); });
    site.must({"stop"});
    site.set_archiving(true);

    const auto ended = backup.wait();

    CHECK(ended.status == 82);
    CHECK_THAT(ended.text(),
               Catch::Contains("archive-push is stopped") && Catch::Contains("start command"));
}

TEST_CASE("a start that may wait for longer than db-timeout is warned of", "[backup]")
{
    const auto& [start, timeout, is_warned] = GENERATE(
        table<std::string, std::string, bool>({{"--no-start-fast", "--db-timeout=300", true},
                                               {"--no-start-fast", "--db-timeout=301", false},
                                               {"--start-fast", "--db-timeout=300", false}}));
    CAPTURE(start, timeout);
    Site site;
    site.cluster().add_setting("checkpoint_timeout = '5min'");
    site.cluster().restart();

    const auto result =
        site.must({"backup", "--type=full", "--log-level-console=warn", start, timeout});
    const bool has_warning = result.text().find("checkpoint_timeout (300s)") != std::string::npos;
    CHECK(has_warning == is_warned);
}

TEST_CASE("log lines never get into what is stored when the standard streams are closed",
          "[backup][bug-45]")
{
    Site site;
    const std::string command = "exec \"$0\" --config=" + site.configuration() +
                                " --stanza=main backup --type=full --log-level-file=off"
                                " --log-level-console=detail --log-level-stderr=warn";

    run_or_throw({"/bin/sh", "-c", command + " <&- >&- 2>&-", program_under_test()});

    CHECK(site.run({"verify"}).status == 0);
    CHECK(site.labels().size() == 1);
}

TEST_CASE("the size that a backup ends with is what it copied", "[backup]")
{
    Site site;
    site.cluster().sql("CREATE TABLE big AS SELECT generate_series(1, 100000) AS i");
    site.backup();

    const auto log = site.must({"backup", "--type=incr", "--log-level-console=info"}).text();
    CAPTURE(log);
    const std::string words = "incr backup size = ";
    const auto begin = log.find(words);
    REQUIRE(begin != std::string::npos);
    const auto size = log.substr(begin + words.size(), log.find(',', begin) - begin - words.size());
    CHECK(size.find("MB") == std::string::npos); // as the cluster would have
    CHECK(size.back() == 'B');
}

TEST_CASE("a relation that may not be read ends the backup with an error that names it",
          "[backup][bug-45]")
{
    Site site;
    site.cluster().sql("CREATE TABLE big AS SELECT md5(i::text) || repeat('x', 400) AS text "
                       "FROM generate_series(1, 100000) AS i");
    site.cluster().sql("CHECKPOINT");
    const auto path = site.cluster().sql("SELECT pg_relation_filepath('big')");
    const auto file = site.cluster().data_directory() + "/" + path;
    fs::permissions(file, fs::perms::none);

    const auto result = site.run({"backup", "--type=full"});
    CHECK(result.status == 41);
    CHECK_THAT(result.text(), Catch::Matchers::Contains(path));

    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    site.backup();
}
