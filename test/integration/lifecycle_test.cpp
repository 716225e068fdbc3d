// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

// annotate, stanza-upgrade, stanza-delete and the wait for locks.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

nlohmann::json annotations(const Site& site, const std::string& label, int repository = 1)
{
    const auto stanza = site.info({"--repo=" + std::to_string(repository)});
    for (const auto& backup : stanza.at("backup")) {
        if (backup.at("label") == label) {
            return backup.value("annotation", nlohmann::json::object());
        }
    }
    return nullptr;
}

// A backup that waits for its first segment of WAL, which does not come.
class EndlessBackup {
public:
    explicit EndlessBackup(Site& site) : site_(site), backup_(begin())
    {
        wait_until("the backup's lease", [&] { return !site_.objects("/lease").empty(); });
    }
    void end()
    {
        backup_.signal(SIGTERM);
        backup_.wait();
        site_.set_archiving(true);
    }

private:
    BackgroundProcess begin()
    {
        site_.set_archiving(false);
        return site_.start({"backup", "--type=full", "--archive-timeout=10m"});
    }

    Site& site_;
    BackgroundProcess backup_;
};

unsigned old_major()
{
    const auto majors = test_majors();
    if (std::find(majors.begin(), majors.end(), 14U) != majors.end()) {
        return 14;
    }
    report_skip("upgrade from PostgreSQL 14: there is none, the new cluster has the same version");
    return 15;
}

} // namespace

TEST_CASE("annotate changes what is noted of a backup", "[annotate]")
{
    TemporaryDirectory second;
    Site site({.cipher = "aes-256-gcm",
               .settings = {"repo2-path=" + second.path(), "repo2-retention-full=9"}});
    const auto both = site.backup({"--type=full", "--annotation=owner=ann", "--annotation=old=1"});
    // A label is of one second, and each repository has its own.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    site.must({"backup", "--type=full", "--repo=2"});

    const auto result = site.run({"annotate",
                                  "--set=" + both,
                                  "--annotation=owner=bob",
                                  "--annotation=old=",
                                  "--annotation=ticket=7",
                                  "--log-level-console=info"});

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("backup set '" + both + "' to annotate found in repo1"));
    CHECK_THAT(result.out, Contains("backup set '" + both + "' to annotate not found in repo2"));
    CHECK(annotations(site, both) == nlohmann::json{{"owner", "bob"}, {"ticket", "7"}});

    // Each call changes only what it names.
    site.must({"annotate", "--set=" + both, "--annotation=ticket=8", "--repo=1"});
    CHECK(annotations(site, both) == nlohmann::json{{"owner", "bob"}, {"ticket", "8"}});
    CHECK_THAT(site.must({"info", "--set=" + both}).out,
               Contains("owner: bob") && Contains("ticket: 8"));
    CHECK(site.run({"annotate", "--set=" + both, "--annotation=a=b", "--repo=2"}).status == 75);
}

TEST_CASE("annotate writes down pins and terms", "[annotate][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const auto label = site.backup();
    const auto note = [&](const std::string& number) {
        return nlohmann::json::parse(
            site.must({"repo-get", "backup/main/" + label + "/notes/" + number + ".json"}).out);
    };

    site.must({"annotate", "--set=" + label, "--pin", "--retain=400d"});
    CHECK(note("0001").at("pinned") == true);
    CHECK(note("0001").at("retain") == 400 * 86400);
    site.must({"annotate", "--set=" + label, "--unpin"});
    CHECK(note("0002").at("pinned") == false);
    CHECK_FALSE(note("0002").contains("retain"));
    site.must({"annotate", "--set=" + label, "--retain=0"});
    CHECK(note("0003").at("retain") == 0);
    // Never 0 by rounding: that would take the term away.
    site.must({"annotate", "--set=" + label, "--retain=1ms"});
    CHECK(note("0004").at("retain") == 1);
}

TEST_CASE("annotate refuses what makes no sense", "[annotate]")
{
    Site site;
    const auto label = site.backup();
    struct Case {
        std::vector<std::string> options;
        int status;
        std::string text;
    };
    const auto& [options, status, text] =
        GENERATE(Case{{"--annotation=a=b"}, 37, "set"},
                 Case{{"--set=LABEL"}, 37, "annotation"},
                 Case{{"--set=LABEL", "--pin", "--unpin"}, 31, "unpin"},
                 Case{{"--set=latest", "--pin"}, 32, "latest"},
                 Case{{"--set=20200101-000000F", "--pin"}, 75, "20200101-000000F"});
    CAPTURE(options);
    std::vector<std::string> arguments{"annotate"};
    for (const auto& option : options) {
        arguments.push_back(option == "--set=LABEL" ? "--set=" + label : option);
    }

    const auto result = site.run(arguments);

    CHECK(result.status == status);
    CHECK_THAT(result.text(), Contains(text));
    CHECK(site.objects("/notes/").empty());
}

TEST_CASE("annotate goes on with the other repositories when one fails", "[annotate]")
{
    TemporaryDirectory second;
    Site site({.settings = {"repo2-path=" + second.path(), "repo2-retention-full=9"}});
    const auto label = site.backup({"--type=full", "--repo=1"});
    const auto elsewhere = site.backup({"--type=full", "--repo=2"});
    fs::remove(site.repository() + "/pgstrata.json");
    fs::remove(site.repository() + "/copy/pgstrata.json");

    const auto result = site.run({"annotate", "--set=" + elsewhere, "--annotation=a=b"});

    CHECK(result.status == 104);
    CHECK_THAT(result.text(), Contains("repo1"));
    CHECK(annotations(site, elsewhere, 2) == nlohmann::json{{"a", "b"}});
}

TEST_CASE("a command waits for a lock as long as lock-wait says", "[lock-wait][s3][two-hosts]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const auto first = site.backup();
    EndlessBackup endless(site);
    const auto other_locks = GENERATE(false, true); // as on another host
    CAPTURE(other_locks);
    std::vector<std::string> backup{"backup", "--type=incr"};
    if (other_locks) {
        backup.push_back("--lock-path=" + site.path("elsewhere"));
    }
    const auto with_wait = [&](const std::string& time) {
        auto all = backup;
        all.push_back("--lock-wait=" + time);
        return all;
    };

    CHECK(site.run(backup).status == 50);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(site.run(with_wait("2s")).status == 50);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::seconds(2));
    {
        auto impatient = site.start(with_wait("10m"));
        std::this_thread::sleep_for(std::chrono::seconds(1));
        REQUIRE(impatient.is_running());
        impatient.signal(SIGTERM);
        CHECK(impatient.wait().status == 63);
    }
    auto waiting = site.start(with_wait("10m"));
    std::this_thread::sleep_for(std::chrono::seconds(1));
    REQUIRE(waiting.is_running());
    endless.end();

    const auto result = waiting.wait();
    CAPTURE(result.text());
    CHECK(result.status == 0);
    CHECK(site.labels().size() == 2);
    CHECK(site.labels().at(1).starts_with(first + "_"));
}

TEST_CASE("what waited for a lock still minds a stop file", "[lock-wait][stop]")
{
    Site site;
    EndlessBackup endless(site);
    auto waiting = site.start({"backup", "--type=full", "--lock-wait=10m"});
    std::this_thread::sleep_for(std::chrono::seconds(1));
    REQUIRE(waiting.is_running());

    site.must({"stop"});
    endless.end();

    CHECK(waiting.wait().status == 62);
    CHECK(site.labels().empty());
}

TEST_CASE("after stanza-upgrade both generations are kept and restored", "[stanza-upgrade][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    const unsigned before = place.open ? 15 : old_major();
    Site old({.cluster = {.major = before}, .place = place});
    old.cluster().sql("CREATE TABLE t AS SELECT 'old' AS what");
    const auto old_full = old.backup();
    old.cluster().sql("INSERT INTO t VALUES ('after the backup')");
    const auto old_segment = old.cluster().archive_current_segment();
    old.cluster().stop();

    // The upgraded cluster is in another place, so that the old one can be asked for more.
    Site site({.cluster = {.major = 15, .own_identity = true},
               .repository = old.repository(),
               .place = place,
               .is_ready = false});
    site.cluster().start();
    CHECK(site.run({"backup", "--type=incr"}).status == 51);
    CHECK(site.run({"check", "--archive-timeout=1s"}).status == 28);
    site.must({"stop"});
    CHECK(site.run({"stanza-upgrade"}).status == 62);
    site.must({"start"});

    const auto upgraded = site.run({"stanza-upgrade", "--log-level-console=info"});
    CHECK(upgraded.status == 0);
    CHECK_THAT(upgraded.out, Contains("15-2"));
    CHECK(site.objects("/cluster.json").size() == 4); // and their copies
    const auto again = site.run({"stanza-upgrade", "--log-level-console=info"});
    CHECK(again.status == 0);
    CHECK_THAT(again.out, Contains("already up to date"));
    CHECK(site.objects("/cluster.json").size() == 4); // and their copies
    site.must({"check"});

    // The old cluster may not archive any more.
    const auto refused = old.run({"archive-push", old.cluster().path("pg_wal/" + old_segment)});
    CHECK(refused.status == 44);
    CHECK(old.run({"backup", "--type=full", "--no-online"}).status == 51);
    // The newest backup is of the old one: that is said, not restored.
    const auto latest = site.run({"restore", "--pg1-path=" + site.new_path("latest")});
    CHECK(latest.status == 75);
    CHECK_THAT(latest.text(), Contains(old_full) && Contains("--set"));

    site.cluster().sql("CREATE TABLE t AS SELECT 'new' AS what");
    const auto incr = site.run({"backup", "--type=incr"});
    CHECK(incr.status == 0);
    CHECK_THAT(incr.text(), Contains("changed to full"));
    const auto labels = site.labels();
    REQUIRE(labels.size() == 2);
    const auto next = site.backup({"--type=incr"});
    CHECK(next.starts_with(labels.at(1) + "_"));

    const auto info = site.info();
    REQUIRE(info.at("db").size() == 2);
    CHECK(info.at("db").at(0).at("version") == std::to_string(before));
    CHECK(info.at("db").at(0).at("id") == 1);
    CHECK(info.at("db").at(1).at("version") == "15");
    CHECK(info.at("db").at(1).at("id") == 2);
    CHECK(info.at("backup").at(0).at("database").at("id") == 1);
    CHECK(info.at("backup").at(1).at("database").at("id") == 2);
    const auto text = site.must({"info"}).out;
    CHECK_THAT(text, Contains("db (prior)") && Contains("db (current)"));

    auto from_old = old.restore({"--set=" + old_full});
    from_old.start();
    from_old.wait_until_promoted();
    CHECK(from_old.sql("SELECT string_agg(what, ',') FROM t") == "old,after the backup");
    auto from_new = site.restore({});
    from_new.start();
    from_new.wait_until_promoted();
    CHECK(from_new.sql("SELECT what FROM t") == "new");
}

TEST_CASE("stanza-upgrade needs a stanza", "[stanza-upgrade]")
{
    Site site({.is_ready = false});

    CHECK(site.run({"stanza-upgrade", "--no-online"}).status == 55);
    site.must({"stanza-create", "--no-online"});
    CHECK(site.run({"stanza-upgrade"}).status == 56);
    CHECK(site.run({"stanza-upgrade", "--no-online"}).status == 0);
    CHECK(site.objects("/cluster.json").size() == 2);
}

TEST_CASE("stanza-delete removes a stanza that is stopped", "[stanza-delete][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.cipher = "aes-256-gcm", .place = place});
    site.backup();
    site.backup({"--type=incr"});
    site.replace_object("archive/other/15-1/cluster.json", "{}");
    const auto stop_file = site.path("lock/main.stop");

    const auto not_stopped = site.run({"stanza-delete", "--force"});
    CHECK(not_stopped.status == 55);
    CHECK_THAT(not_stopped.text(), Contains("stop file"));
    site.must({"stop"});
    const auto running = site.run({"stanza-delete"});
    CHECK(running.status == 38);
    CHECK_THAT(running.text(), Contains("postmaster.pid") && Contains("--force"));
    CHECK(site.labels().size() == 2);

    CHECK(site.run({"stanza-delete", "--force"}).status == 0);
    CHECK_FALSE(fs::exists(site.repository() + "/archive/main"));
    CHECK_FALSE(fs::exists(site.repository() + "/backup/main"));
    CHECK(site.objects("main/").empty());
    CHECK(site.objects("archive/other/").size() == 1);
    CHECK_FALSE(fs::exists(stop_file));

    // What is not there is deleted.
    site.must({"stop"});
    site.cluster().stop();
    CHECK(site.run({"stanza-delete"}).status == 0);
    CHECK_FALSE(fs::exists(stop_file));

    INFO("what is not there needs no stop, so that a deletion may be asked for twice");
    CHECK(site.run({"stanza-delete"}).status == 0);
    site.cluster().start();
    site.must({"stanza-create"});
    CHECK(site.run({"backup", "--type=full"}).status == 0);
}

TEST_CASE("stanza-delete wants to be told which of several repositories", "[stanza-delete]")
{
    TemporaryDirectory second;
    Site site({.settings = {"repo2-path=" + second.path(), "repo2-retention-full=9"}});
    site.must({"stop"});

    CHECK(site.run({"stanza-delete", "--force"}).status == 37);
    CHECK(fs::exists(site.path("lock/main.stop")));
    CHECK(site.run({"stanza-delete", "--force", "--repo=2"}).status == 0);

    CHECK_FALSE(fs::exists(second.path() + "/archive/main"));
    CHECK(fs::exists(site.repository() + "/archive/main/15-1/cluster.json"));
}

TEST_CASE("stanza-delete leaves a stanza alone that is being backed up",
          "[stanza-delete][s3][two-hosts]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const EndlessBackup endless(site);
    // As on another host, where there is no lock file to see.
    const std::string locks = "--lock-path=" + site.path("elsewhere");
    site.must({"stop", locks});

    const auto result = site.run({"stanza-delete", "--force", locks});

    CHECK(result.status == 50);
    CHECK(site.objects("/cluster.json").size() == 2);
}

TEST_CASE("stanza-delete does not touch what is not a repository of ours", "[stanza-delete]")
{
    Site site({.is_ready = false});
    fs::create_directories(site.repository() + "/archive/main");
    write_file(site.repository() + "/archive/main/archive.info", "[backrest]\n");
    site.must({"stop"});

    CHECK(site.run({"stanza-delete"}).status == 55);

    CHECK(fs::exists(site.repository() + "/archive/main/archive.info"));
    CHECK(fs::exists(site.path("lock/main.stop")));
}
