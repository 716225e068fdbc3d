// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"
#include "support/tester.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <regex>

// help, version, the name that the program is called by, and who may call it.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

ProcessResult run_program(const std::vector<std::string>& arguments,
                          const ProcessOptions& options = {})
{
    Arguments all{program_under_test()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_process(all, options);
}

// The program under another name.
std::string link_in(Site& site, const std::string& name = "pgbackrest")
{
    auto path = site.path(name);
    fs::create_symlink(program_under_test(), path);
    return path;
}

} // namespace

TEST_CASE("help is printed in all its forms", "[help]")
{
    using Case = std::pair<std::vector<std::string>, std::string>;
    const auto& [arguments, part] =
        GENERATE(Case{{}, "Commands:"},
                 Case{{"help"}, "Commands:"},
                 Case{{"--help"}, "Commands:"},
                 Case{{"help", "backup"}, "pgstrata backup [OPTION ...]"},
                 Case{{"backup", "--help"}, "pgstrata backup [OPTION ...]"},
                 Case{{"help", "archive-get"}, "archive-get WAL-NAME DESTINATION [OPTION ...]"},
                 Case{{"help", "backup", "process-max"}, "PGSTRATA_PROCESS_MAX"},
                 Case{{"help", "restore", "repo1-path"}, "--repo1-path"});

    const auto result = run_program(arguments);

    CHECK(result.status == 0);
    CHECK_THAT(result.out, Contains(part));
    CHECK(result.err.empty());
}

TEST_CASE("help for what does not exist is an error", "[help]")
{
    using Case = std::tuple<std::vector<std::string>, int, std::string>;
    const auto& [arguments, status, part] =
        GENERATE(Case{{"help", "bogus"}, 48, "unknown command 'bogus'"},
                 Case{{"help", "backup", "bogus"}, 31, "unknown option 'bogus'"},
                 Case{{"help", "info", "start-fast"}, 31, "start-fast"},
                 Case{{"help", "backup", "type", "extra"}, 96, "too many parameters"});

    const auto result = run_program(arguments);

    CHECK(result.status == status);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Contains(part));
}

TEST_CASE("a command line that names no command that exists is refused", "[command-line]")
{
    using Case = std::tuple<std::vector<std::string>, int>;
    const auto& [arguments, status] = GENERATE(Case{{"--stanza=main"}, 30},
                                               Case{{"bogus"}, 48},
                                               Case{{"info", "extra"}, 96},
                                               Case{{"info", "--bogus"}, 31},
                                               Case{{"info", "--output=xml"}, 32},
                                               Case{{"backup"}, 37},
                                               Case{{"archive-push"}, 43},
                                               Case{{"server"}, 67});

    const auto result = run_program(arguments, {.environment = {{"PGSTRATA_CONFIG", "/dev/null"}}});

    CAPTURE(result.text());
    CHECK(result.status == status);
    CHECK(result.out.empty());
    CHECK_FALSE(result.err.empty());
}

TEST_CASE("the version is printed as text and as a number", "[version]")
{
    const auto text = run_program({"version"}).out;
    std::smatch parts;
    REQUIRE(std::regex_match(text, parts, std::regex("pgstrata (\\d+)\\.(\\d+)\\.(\\d+)\n")));
    const auto number =
        (std::stoul(parts[1]) * 1000 + std::stoul(parts[2])) * 1000 + std::stoul(parts[3]);

    CHECK(run_program({"--version"}).out == text);
    CHECK(run_program({"version", "--output=text"}).out == text);
    CHECK(run_program({"version", "--output=num"}).out == std::to_string(number) + "\n");
}

TEST_CASE("help and version look neither at files nor at the environment", "[help][version]")
{
    const ProcessOptions odd{.environment = {{"PGSTRATA_CONFIG", "/no/such/file"},
                                             {"PGSTRATA_NO_SUCH_OPTION", "1"},
                                             {"PGSTRATA_OUTPUT", "bogus"}}};

    for (const auto* command : {"help", "version"}) {
        const auto result = run_program({command}, odd);
        CHECK(result.status == 0);
        CHECK(result.err.empty());
    }
    CHECK(run_program({"info"}, odd).status == 55);
}

TEST_CASE("a link named pgbackrest answers as that tool does", "[link]")
{
    Site site({.is_ready = false});
    const auto link = link_in(site);

    const auto version = run_process({link, "version"});
    CHECK(version.status == 0);
    CHECK(std::regex_match(version.out, std::regex("pgBackRest \\d+\\.\\d+(\\.\\d+)?\n")));
    CHECK(run_process({link, "--version"}).out == version.out);
    const auto number = run_process({link, "version", "--output=num"}).out;
    CHECK(std::regex_match(number, std::regex("2\\d{6}\n")));
    CHECK_THAT(run_process({link}).out, Contains("Commands:"));
    CHECK_THAT(run_process({link, "help", "backup", "repo-path"}).out,
               Contains("/var/lib/pgbackrest"));
    CHECK_THAT(run_process({link_in(site, "other-name"), "version"}).out,
               Catch::StartsWith("pgstrata "));
}

TEST_CASE("a link named pgbackrest takes that tool's variables after its own", "[link]")
{
    Site site;
    const auto link = link_in(site);
    const std::map<std::string, std::string> environment{
        {"PGBACKREST_CONFIG", site.configuration()}, {"PGBACKREST_STANZA", "main"}};

    const auto info = run_process({link, "info", "--output=json"}, {.environment = environment});
    CHECK(nlohmann::json::parse(info.out).at(0).at("name") == "main");

    auto both = environment;
    both["PGSTRATA_STANZA"] = "other";
    const auto own = run_process({link, "info", "--output=json"}, {.environment = both});
    CHECK(nlohmann::json::parse(own.out).at(0).at("name") == "other");

    auto unknown = environment;
    unknown["PGBACKREST_NO_SUCH_OPTION"] = "1";
    CHECK_THAT(run_process({link, "info"}, {.environment = unknown}).err,
               Contains("PGBACKREST_NO_SUCH_OPTION"));

    const auto under_own_name =
        run_program({"info", "--output=json", "--repo1-path=" + site.new_path("empty")},
                    {.environment = environment});
    CHECK(under_own_name.out == "[]");
}

TEST_CASE("a server can archive and recover through a link named pgbackrest", "[link]")
{
    Site site({.is_ready = false});
    const auto link = link_in(site);
    const std::vector<std::string> common{"--config=" + site.configuration(), "--stanza=main"};
    site.cluster().add_setting("archive_command = '" + link + " " + common[0] + " " + common[1] +
                               " archive-push %p'");
    site.cluster().start();
    run_or_throw({link, common[0], common[1], "stanza-create"});
    run_or_throw({link, common[0], common[1], "check"});
    run_or_throw({link, common[0], common[1], "backup", "--type=full"});
    site.cluster().sql("CREATE TABLE t AS SELECT 1 AS a");
    site.cluster().archive_current_segment();

    const auto target = site.new_path("target");
    run_or_throw({link, common[0], common[1], "restore", "--pg1-path=" + target});

    CHECK_THAT(read_file(target + "/postgresql.auto.conf"),
               Contains("restore_command = '" + link + " "));
    Cluster restored(site.cluster().major(), target);
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT a FROM t") == "1");
}

TEST_CASE("a restore_command holds the path of the program whatever it is", "[link]")
{
    Site site;
    site.backup();
    const auto link = site.new_path("a program; it's") + "/pgstrata";
    fs::create_directories(fs::path(link).parent_path());
    fs::create_symlink(program_under_test(), link);
    const auto target = site.new_path("target");

    run_or_throw({link,
                  "--config=" + site.configuration(),
                  "--stanza=main",
                  "restore",
                  "--pg1-path=" + target});

    Cluster restored(site.cluster().major(), target);
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql("SELECT 1") == "1");
}

TEST_CASE("root is refused, but where it has a use", "[root]")
{
    // Root of a user namespace: user postgres outside of it.
    const std::string unshare = "/usr/bin/unshare";
    if (run_process({unshare, "--map-root-user", "/bin/true"}).status != 0) {
        report_skip("commands run by root: no user namespace can be made here");
        return;
    }
    Site site;
    const auto as_root = [&](std::vector<std::string> arguments) {
        const std::vector<std::string> begin{unshare,
                                             "--map-root-user",
                                             program_under_test(),
                                             "--config=" + site.configuration(),
                                             "--stanza=main"};
        arguments.insert(arguments.begin(), begin.begin(), begin.end());
        return run_process(arguments);
    };

    for (const auto* command : {"backup", "check", "info", "repo-ls", "stanza-create", "start"}) {
        CAPTURE(command);
        const auto result = as_root({command});
        CHECK(result.status == 31);
        CHECK_THAT(result.err, Contains("must not run as root") && Contains("allow-root"));
    }
    CHECK(as_root({"archive-push", "pg_wal/0"}).status == 31);
    CHECK(as_root({"archive-get", "000000010000000000000001", "/tmp/x"}).status == 128 + 31);
    CHECK(as_root({"info", "--allow-root"}).status == 0);
    CHECK(as_root({"restore"}).status == 38); // the server runs
    CHECK(as_root({"restore", "--no-allow-root"}).status == 31);
    CHECK(run_process({unshare, "--map-root-user", program_under_test(), "version"}).status == 0);
    CHECK(run_process({unshare, "--map-root-user", program_under_test(), "help"}).status == 0);
}
