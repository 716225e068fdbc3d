// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

// stanza-create, start and stop.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> contents(const Site& site)
{
    std::map<std::string, std::string> result;
    for (const auto& name : site.objects("")) {
        result[name] = read_file(site.repository() + "/" + name);
    }
    return result;
}

bool has_lease(const Site& site)
{
    return !site.objects("/lease").empty();
}

std::string number_of_client_sessions(const Cluster& cluster)
{
    return cluster.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
}

} // namespace

TEST_CASE("stanza-create may be repeated and changes nothing then", "[stanza-create]")
{
    Site site({.cipher = "aes-256-gcm"});
    const auto before = contents(site);

    const auto again = site.must({"stanza-create", "--log-level-console=info"});

    CHECK_THAT(again.out, Contains("already exists") && Contains("is valid"));
    CHECK(before.size() == 6);
    CHECK(contents(site) == before);
}

TEST_CASE("stanza-create works while the server is down when told so", "[stanza-create]")
{
    Site site({.is_ready = false});

    CHECK(site.run({"stanza-create"}).status == 56);
    CHECK(site.objects("").empty());
    CHECK(site.run({"stanza-create", "--no-online"}).status == 0);

    CHECK(site.objects("/cluster.json").size() == 2);
}

TEST_CASE("stanza-create and stanza-upgrade want the one primary", "[stanza-create]")
{
    Site site;
    site.backup();
    auto standby = site.restore({"--type=standby"});
    standby.start();
    const std::string command = GENERATE("stanza-create", "stanza-upgrade");
    const auto options_of = [&](const std::string& pg) -> std::vector<std::string> {
        return {command,
                "--" + pg + "-path=" + standby.data_directory(),
                "--" + pg + "-port=" + std::to_string(standby.port()),
                "--" + pg + "-socket-path=" + standby.socket_directory()};
    };

    const auto alone = site.run(options_of("pg1"));
    CAPTURE(alone.text());
    CHECK(alone.status == 56);
    CHECK_THAT(alone.text(), Contains("unable to find primary cluster"));
    CHECK(site.run(options_of("pg2")).status == 0);

    standby.sql("SELECT pg_promote()");
    const auto both = site.run(options_of("pg2"));
    CHECK(both.status == 56);
    CHECK_THAT(both.text(), Contains("more than one primary cluster found: pg1 and pg2"));
}

TEST_CASE("stanza-create refuses the stanza of another cluster", "[stanza-create][bug-19]")
{
    Site site;
    Site other(
        {.cluster = {.own_identity = true}, .repository = site.repository(), .is_ready = false});
    const auto before = contents(site);

    const auto result = other.run({"stanza-create", "--no-online"});

    CHECK(result.status == 28);
    CHECK_THAT(result.text(), Contains("system-id") && Contains("stanza-upgrade"));
    CHECK(contents(site) == before);
}

TEST_CASE("stanza-create refuses a directory that holds something else", "[stanza-create]")
{
    const auto* name = GENERATE("archive/main/something", "backup/main/something");
    CAPTURE(name);
    Site site({.is_ready = false});
    fs::create_directories(site.repository() + "/" + name);

    const auto result = site.run({"stanza-create", "--no-online"});

    CHECK(result.status == 40);
    CHECK_THAT(result.text(), Contains("something"));
    CHECK(site.objects("archive/").empty());
}

TEST_CASE("stanza-create does not make a stanza anew over what one has stored", "[stanza-create]")
{
    Site site;
    site.backup();
    for (const auto& path : site.objects("/cluster.json")) {
        fs::remove(site.repository() + "/" + path);
    }
    const auto before = contents(site);

    const auto with_wal = site.run({"stanza-create"});
    CHECK(with_wal.status == 55);
    CHECK_THAT(with_wal.text(), Contains("cluster.json"));
    CHECK(contents(site) == before);

    fs::remove_all(site.repository() + "/archive");
    CHECK(site.run({"stanza-create"}).status == 55);
    CHECK(site.objects("archive/").empty());
}

TEST_CASE("stanza-create refuses names that cannot be those of a stanza", "[stanza-create]")
{
    const auto* name = GENERATE("..", "a/b", ".hidden", "a b", "global", "a:b");
    CAPTURE(name);
    Site site({.is_ready = false});

    const auto result = run_process({program_under_test(),
                                     "--config=" + site.configuration(),
                                     std::string("--stanza=") + name,
                                     "--pg1-path=" + site.cluster().data_directory(),
                                     "--no-online",
                                     "stanza-create"});

    CHECK(result.status == 32);
    CHECK(site.objects("").empty());
}

TEST_CASE("stanza-create says how long the name of a stanza may be", "[stanza-create]")
{
    Site site({.is_ready = false});
    const auto create = [&](std::size_t length) {
        return run_process({program_under_test(),
                            "--config=" + site.configuration(),
                            "--stanza=" + std::string(length, 's'),
                            "--pg1-path=" + site.cluster().data_directory(),
                            "--no-online",
                            "stanza-create"});
    };

    const auto result = create(129);

    CHECK(result.status == 32);
    CHECK_THAT(result.text(),
               Contains("no longer than 128 characters") && !Contains("letters, digits"));
    CHECK(create(128).status == 0);
}

TEST_CASE("a stop file keeps what writes from running until start", "[stop]")
{
    const auto is_for_all = GENERATE(false, true);
    CAPTURE(is_for_all);
    Site site;
    const auto toggle = [&](const std::string& command) {
        Arguments arguments{program_under_test(), "--config=" + site.configuration(), command};
        if (!is_for_all) {
            arguments.emplace_back("--stanza=main");
        }
        return run_process(arguments);
    };
    const auto file = site.path(is_for_all ? "lock/all.stop" : "lock/main.stop");

    const auto stopped = toggle("stop");
    CHECK(stopped.status == 0);
    CHECK(stopped.text().empty());
    CHECK(fs::exists(file));
    const auto backup = site.run({"backup", "--type=full"});
    CHECK(backup.status == 62);
    CHECK_THAT(backup.text(), Contains("the start command removes it"));
    CHECK(site.run({"stanza-create"}).status == 62);
    CHECK(site.run({"info"}).status == 0);
    CHECK(site.run({"repo-ls"}).status == 0);
    const auto again = toggle("stop");
    CHECK(again.status == 0);
    CHECK_THAT(again.text(), Contains("already exists"));

    CHECK(toggle("start").status == 0);
    CHECK_FALSE(fs::exists(file));
    CHECK(site.run({"backup", "--type=full"}).status == 0);
    const auto started = toggle("start");
    CHECK(started.status == 0);
    CHECK_THAT(started.text(), Contains("does not exist"));
}

TEST_CASE("the stop file of one stanza does not concern another", "[stop]")
{
    Site site;
    run_or_throw(
        {program_under_test(), "--config=" + site.configuration(), "--stanza=other", "stop"});

    CHECK(site.run({"backup", "--type=full"}).status == 0);
}

TEST_CASE("stop --force ends a backup in an orderly way", "[stop][bug-57]")
{
    Site site;
    // The backup waits for its first segment of WAL, which does not come.
    site.set_archiving(false);
    auto backup = site.start({"backup", "--type=full", "--archive-timeout=10m"});
    wait_until("the backup's lease", [&] { return has_lease(site); });
    REQUIRE(backup.is_running());

    const auto stopped = site.run({"stop", "--force", "--log-level-console=info"});

    CHECK(stopped.status == 0);
    CHECK_THAT(stopped.out, Contains("process " + std::to_string(backup.pid())));
    const auto ended = backup.wait();
    CHECK(ended.status == 63);
    CHECK(site.labels().empty());
    CHECK_FALSE(has_lease(site));
    CHECK_FALSE(fs::exists(site.path("lock/main-backup-1.lock")));
    wait_until("the end of the backup's session",
               [&] { return number_of_client_sessions(site.cluster()) == "1"; });

    site.must({"start"});
    site.set_archiving(true);
    CHECK(site.run({"backup", "--type=full"}).status == 0);
    CHECK(site.labels().size() == 1);
}

TEST_CASE("stop --force with nothing running just stops", "[stop]")
{
    Site site;
    write_file(site.path("lock/main-backup-1.lock"), "{\"pid\":1}"); // left by a killed process

    CHECK(site.run({"stop", "--force"}).status == 0);

    CHECK_FALSE(fs::exists(site.path("lock/main-backup-1.lock")));
    CHECK(fs::exists(site.path("lock/main.stop")));
}
