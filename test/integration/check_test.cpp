// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

constexpr const char* kShortWait = "--archive-timeout=3s";

// A site whose server has a setting in place of the harness's.
struct ChangedSite {
    explicit ChangedSite(const std::string& setting)
    {
        site.cluster().add_setting(setting);
        site.cluster().start();
        site.must({"stanza-create"});
    }
    Site site{{.is_ready = false}};
};

std::size_t count_segments(const Site& site)
{
    const auto objects = site.objects("archive/main/15-1/0000000100000000/");
    return static_cast<std::size_t>(std::count_if(
        objects.begin(), objects.end(), [](const auto& name) { return name.ends_with(".zst"); }));
}

} // namespace

TEST_CASE("check brings a new segment into the archive and says where it is", "[check]")
{
    Site site;
    const auto before = count_segments(site);

    const auto result = site.must({"check", "--log-level-console=info"});

    CHECK(count_segments(site) > before);
    CHECK_THAT(result.out, Contains("successfully archived to '" + site.repository()));
    CHECK_THAT(result.out, Contains("check command end: completed successfully"));
}

TEST_CASE(
    "a server that went back to an earlier state has neither its WAL in the archive nor a backup",
    "[check][backup][bug-22]")
{
    Site site;
    Cluster& cluster = site.cluster();
    cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i");
    cluster.stop();
    const std::string snapshot = site.new_path("snapshot");
    fs::copy(cluster.data_directory(), snapshot, fs::copy_options::recursive);
    cluster.start();
    for (int segment = 0; segment < 4; ++segment) {
        cluster.sql("INSERT INTO t SELECT generate_series(1, 1000)");
        cluster.archive_current_segment();
    }
    cluster.stop();
    fs::remove_all(cluster.data_directory());
    fs::rename(snapshot, cluster.data_directory());
    cluster.start();
    cluster.sql("INSERT INTO t SELECT generate_series(2, 2000)");

    for (const Arguments& arguments : {Arguments{"check"}, Arguments{"backup", "--type=full"}}) {
        const auto result = site.run(arguments);
        CAPTURE(result.text());
        CHECK(result.status == 45);
        CHECK_THAT(result.text(), Contains("is not the one that this server wrote"));
    }
    CHECK(site.labels().empty());
}

TEST_CASE("check without a stanza checks those of the configuration", "[check]")
{
    Site site;
    const auto before = count_segments(site);

    const auto result = run_process({program_under_test(),
                                     "--config=" + site.configuration(),
                                     "--log-level-console=info",
                                     "check"});

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("check stanza 'main'"));
    CHECK(count_segments(site) > before);
}

TEST_CASE("check without a stanza tells what is wrong in the section of each", "[check]")
{
    Site site;
    const std::string text = read_file(site.configuration());
    write_file(site.configuration(), text + "\n[global]\nnonsense=1\n[main]\nbogus=1\n");

    const auto result = run_process({program_under_test(),
                                     "--config=" + site.configuration(),
                                     "--log-level-console=warn",
                                     "check"});

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("'bogus'") && Contains("'nonsense'"));
    CHECK(result.out.find("'nonsense'") == result.out.rfind("'nonsense'"));
}

TEST_CASE("check tells what is missing", "[check]")
{
    Site site({.is_ready = false});

    const auto no_server = site.run({"check"});
    CHECK(no_server.status == 27);
    CHECK_THAT(no_server.text(), Contains("no database found") && Contains("HINT:"));

    site.cluster().start();
    const auto no_stanza = site.run({"check"});
    CHECK(no_stanza.status == 55);
    CHECK_THAT(no_stanza.text(), Contains("has stanza-create been run"));

    CHECK(site.run({"check", "--stanza=other"}).status == 31); // there is one already
    const auto unknown = run_process(
        {program_under_test(), "--config=" + site.configuration(), "--stanza=other", "check"});
    CHECK(unknown.status == 37);
    CHECK_THAT(unknown.text(), Contains("does this stanza exist?"));
}

TEST_CASE("check writes to each repository, and names the directory that is closed", "[check]")
{
    const TemporaryDirectory second;
    Site site({.settings = {"repo2-path=" + second.path() + "/repo2"}});
    const auto archive = second / "repo2/archive/main";
    const auto before = count_segments(site);
    fs::permissions(archive, fs::perms(0550));

    const auto result = site.run({"check", kShortWait});

    fs::permissions(archive, fs::perms(0750));
    CHECK(result.status == 41);
    CHECK_THAT(result.text(),
               Contains("repo2: [") && !Contains("repo1: [") &&
                   Contains("'" + archive + "' has mode 0550 and belongs to postgres:postgres"));
    // Nothing was switched, and nothing is left.
    CHECK(count_segments(site) == before);
    CHECK(site.objects("check-").empty());
    site.must({"check"});
}

TEST_CASE("check tells about all repositories that cannot be used", "[check]")
{
    const TemporaryDirectory second;
    Site site({.settings = {"repo2-path=" + second.path() + "/repo2"}});
    fs::permissions(site.repository(), fs::perms(0));
    fs::permissions(second / "repo2/archive", fs::perms(0));

    const auto result = site.run({"check", kShortWait});

    fs::permissions(site.repository(), fs::perms(0750));
    fs::permissions(second / "repo2/archive", fs::perms(0750));
    CHECK(result.status != 0);
    CHECK_THAT(result.text(),
               Contains("repo1: [") && Contains("'" + site.repository() + "' has mode 0000"));
    CHECK_THAT(result.text(),
               Contains("repo2: [") &&
                   Contains("'" + second.path() + "/repo2/archive' has mode 0000"));
}

TEST_CASE("check refuses settings with which nothing would be archived", "[check][bug-59]")
{
    const auto& [line, status, hint] = GENERATE(table<std::string, int, std::string>(
        {{"archive_mode = off", 87, "set archive_mode = on"},
         {"archive_mode = always", 67, "--no-archive-mode-check"},
         {"archive_command = '/bin/true'", 68, "set archive_command = 'pgstrata"},
         {"archive_command = ''", 68, "set archive_command = 'pgstrata"}}));
    CAPTURE(line);
    ChangedSite changed(line);

    const auto result = changed.site.run({"check", kShortWait});

    CHECK(result.status == status);
    CHECK_THAT(result.text(), Contains(hint));
}

TEST_CASE("check names the likely cause when WAL does not arrive", "[check][bug-59]")
{
    const auto& [command, cause] = GENERATE(table<std::string, std::string>(
        {{"/bin/false pgstrata", "failed archive commands"},
         {"/bin/true pgstrata", "does archive_command use this repository"},
         {"sleep 20; false pgstrata", "is the archiver slow?"}}));
    CAPTURE(command);
    ChangedSite changed("archive_command = '" + command + "'");

    const auto result = changed.site.run({"check", kShortWait});

    CHECK(result.status == 82);
    CHECK_THAT(result.text(), Contains("was not archived to repo1 within 3 s"));
    CHECK_THAT(result.text(), Contains(cause));
}

TEST_CASE("check names the stop file or the setting that keeps WAL from the archive",
          "[check][stop][bug-59]")
{
    const bool is_stopped = GENERATE(true, false);
    CAPTURE(is_stopped);
    ChangedSite changed(is_stopped ? "archive_timeout = 0" : "archive_mode = off");
    if (is_stopped) {
        changed.site.must({"stop"});
    }

    const auto result = changed.site.run({"check", kShortWait, "--no-archive-check"});

    CHECK(result.status == 82);
    CHECK_THAT(result.text(),
               Contains(is_stopped ? "stop file exists for stanza main: the start command"
                                   : "set archive_mode = on"));
}

TEST_CASE("check waits for WAL whatever it is told about settings", "[check][bug-59]")
{
    ChangedSite changed("archive_command = '/bin/true'");

    CHECK(changed.site.run({"check", kShortWait, "--no-archive-check"}).status == 82);
}

TEST_CASE("check of a standby switches nothing", "[check]")
{
    Site site;
    site.backup();
    auto standby = site.restore({"--type=standby"});
    standby.start();
    const auto before = count_segments(site);

    const auto result = site.run({"check",
                                  "--no-archive-check", // the harness has archiving off here
                                  "--log-level-console=info",
                                  "--pg1-path=" + standby.data_directory(),
                                  "--pg1-port=" + std::to_string(standby.port()),
                                  "--pg1-socket-path=" + standby.socket_directory()});

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains("because this is a standby"));
    CHECK(count_segments(site) == before);
}

TEST_CASE("check refuses two primaries before it looks at the settings of either",
          "[check][bug-59]")
{
    Site site;
    site.backup();
    auto promoted = site.restore({"--type=standby"});
    promoted.start(); // without archiving, as the harness has it
    promoted.sql("SELECT pg_promote()");

    const auto result = site.run({"check",
                                  kShortWait,
                                  "--pg2-path=" + promoted.data_directory(),
                                  "--pg2-port=" + std::to_string(promoted.port()),
                                  "--pg2-socket-path=" + promoted.socket_directory()});

    CHECK(promoted.sql("SHOW archive_mode") == "off");
    CHECK(result.status == 56);
    CHECK_THAT(result.text(), Contains("more than one primary cluster found: pg1 and pg2"));
}

TEST_CASE("a pg-path without a cluster is passed over", "[check][backup]")
{
    Site site;
    const std::string path = "--pg1-path=" + site.path("nothing");

    for (const auto& [command, status] :
         std::vector<std::pair<std::string, int>>{{"check", 27}, {"backup", 56}}) {
        const auto result = site.run({command, path});
        CAPTURE(result.text());
        CHECK(result.status == status);
        CHECK_THAT(result.text(),
                   Contains("unable to check pg1: [FileMissingError]") &&
                       Contains("nothing/global/pg_control"));
    }
}

TEST_CASE("check notices a server that is not the configured one", "[check]")
{
    Site site;
    Cluster other({.own_identity = true});
    other.start();

    const auto result =
        site.run({"check", kShortWait, "--pg1-socket-path=" + other.socket_directory()});

    CHECK(result.status == 58);
}
