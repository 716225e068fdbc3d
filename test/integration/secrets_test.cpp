// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <regex>

// Where options come from, what the log tells of them, and what nothing ever tells.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

// A site with another text in place of a line of its configuration.
void replace_line(const Site& site, const std::string& line, const std::string& replacement)
{
    auto text = read_file(site.configuration());
    const auto at = text.find(line + "\n");
    REQUIRE(at != std::string::npos);
    write_file(site.configuration(), text.replace(at, line.size(), replacement));
}

std::string passphrase_line()
{
    return std::string("repo1-cipher-pass=") + kPassphrase;
}

std::string log_of(const Site& site, const std::string& command)
{
    return read_file(site.path("log/main-" + command + ".log"));
}

bool tells_passphrase(const std::string& text)
{
    const std::string passphrase = kPassphrase;
    const auto space = passphrase.find(' ');
    return text.find(passphrase.substr(0, space)) != std::string::npos ||
           text.find(passphrase.substr(space + 1)) != std::string::npos;
}

// The paths below a directory whose files hold the passphrase.
std::vector<std::string> files_with_passphrase(const std::string& directory)
{
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.is_regular_file() && tells_passphrase(read_file(entry.path()))) {
            found.push_back(entry.path());
        }
    }
    return found;
}

} // namespace

TEST_CASE("the command line goes before the environment and that before files", "[environment]")
{
    Site site;
    const auto empty = site.new_path("empty");
    const ProcessOptions elsewhere{.environment = {{"PGSTRATA_REPO1_PATH", empty}}};

    CHECK(site.run({"repo-ls"}).out != "");
    CHECK(site.run({"repo-ls"}, elsewhere).out == "");
    CHECK(site.run({"repo-ls", "--repo1-path=" + site.repository()}, elsewhere).out != "");
    CHECK(run_process({program_under_test(), "info"},
                      {.environment = {{"PGSTRATA_CONFIG", site.configuration()},
                                       {"PGSTRATA_STANZA", "main"}}})
              .out.find("stanza: main") == 0);
}

TEST_CASE("variables that make no sense are refused or ignored aloud", "[environment]")
{
    Site site;

    CHECK(site.run({"info"}, {.environment = {{"PGSTRATA_REPO1_PATH", ""}}}).status == 32);
    CHECK(site.run({"info"}, {.environment = {{"PGSTRATA_PROCESS_MAX", "many"}}}).status == 0);
    CHECK(site.run({"backup", "--type=full"}, {.environment = {{"PGSTRATA_PROCESS_MAX", "many"}}})
              .status == 32);
    const auto unknown = site.run({"info"}, {.environment = {{"PGSTRATA_NO_SUCH_OPTION", "1"}}});
    CHECK(unknown.status == 0);
    CHECK_THAT(unknown.err, Contains("WARN") && Contains("PGSTRATA_NO_SUCH_OPTION"));
}

TEST_CASE("a variable in the configuration is replaced", "[environment]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    replace_line(site, passphrase_line(), "repo1-cipher-pass=${SITE_SECRET}");

    CHECK(site.run({"check"}).status == 32);
    const auto set = site.run({"stanza-create"}, {.environment = {{"SITE_SECRET", kPassphrase}}});
    CHECK(set.status == 0);
    CHECK(site.run({"stanza-create"}, {.environment = {{"SITE_SECRET", "wrong"}}}).status == 95);
    const auto unset = site.run({"stanza-create"});
    CHECK(unset.status == 32);
    CHECK_THAT(unset.text(), Contains("repo1-cipher-pass"));
    replace_line(site, "repo1-cipher-pass=${SITE_SECRET}", "repo1-cipher-pass=$${SITE_SECRET}");
    CHECK(site.run({"stanza-create"}, {.environment = {{"SITE_SECRET", kPassphrase}}}).status ==
          95);
}

TEST_CASE("the passphrase may come from a file or a program", "[environment]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    const auto file = site.path("passphrase");
    write_file(file, std::string(kPassphrase) + "\nnot this line\n");
    const auto line = GENERATE(as<std::string>{}, "file=PATH", "command=cat PATH");
    CAPTURE(line);
    replace_line(site,
                 passphrase_line(),
                 "repo1-cipher-pass-" + std::regex_replace(line, std::regex("PATH"), file));

    CHECK(site.run({"check"}).status == 0);
    write_file(file, "wrong\n");
    CHECK(site.run({"stanza-create"}).status == 95);
    write_file(file, "\n");
    CHECK(site.run({"stanza-create"}).status == 37);
    fs::remove(file);
    CHECK(site.run({"stanza-create"}).status != 0);
}

TEST_CASE("the log file has the beginning, the end and the errors of a command", "[log]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    site.backup();
    const auto log = log_of(site, "backup");

    CHECK_THAT(log, Catch::StartsWith("-------------------PROCESS START-------------------\n"));
    const std::string begin =
        R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} P00   INFO: )"
        R"(backup command begin \d+\.\d+\.\d+: --archive-timeout=40s --config=)";
    CHECK(std::regex_search(log, std::regex(begin)));
    CHECK_THAT(log, Contains(" --repo1-cipher-pass=<redacted> --repo1-cipher-type=aes-256-gcm "));
    CHECK_THAT(log, Contains(" --stanza=main") && Contains(" --type=full"));
    CHECK_THAT(log, !Contains("--lock-timeout") && !Contains("--db-timeout")); // a default
    CHECK(std::regex_search(
        log, std::regex(R"(INFO: backup command end: completed successfully \(\d+ms\)\n)")));

    site.must({"stop"});
    CHECK(site.run({"backup", "--type=full"}).status == 62);
    const auto longer = log_of(site, "backup");
    CHECK(longer.substr(0, log.size()) == log);
    CHECK_THAT(longer.substr(log.size()),
               Catch::StartsWith("\n---") && Contains("ERROR: [062]: stop file exists") &&
                   Contains("backup command end: aborted with exception [062]\n"));
}

TEST_CASE("a log file that cannot be written does not stop a command", "[log]")
{
    Site site;
    const auto result = site.run({"backup", "--type=full", "--log-path=/no/such/directory"});

    CHECK(result.status == 0);
    CHECK_THAT(result.text(), Contains("/no/such/directory/main-backup.log"));
}

TEST_CASE("log messages stay out of output that is meant for programs", "[log]")
{
    Site site;

    const auto info = site.must({"info", "--output=json", "--log-level-console=trace"});
    CHECK(nlohmann::json::parse(info.out).size() == 1);
    CHECK_THAT(info.err, Contains("info command begin"));
    const auto check = site.must({"stanza-create", "--log-level-console=info"});
    CHECK_THAT(check.out, Contains("stanza-create command begin"));
    CHECK(check.err.empty());
    const auto split = site.must({"stanza-create", "--log-level-stderr=info"});
    CHECK(split.out.empty());
    CHECK_THAT(split.err, Catch::StartsWith("INFO: stanza-create command begin"));
    const auto plain =
        site.must({"stanza-create", "--log-level-console=info", "--no-log-timestamp"});
    CHECK_THAT(plain.out,
               Catch::StartsWith("P00   INFO: stanza-create command begin") &&
                   Catch::EndsWith("command end: completed successfully\n"));
}

TEST_CASE("no output, log or restored file tells the passphrase", "[secrets][bug-53]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    std::string told;
    const auto run = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--log-level-console=trace", "--log-level-file=trace"});
        told += site.run(arguments).text();
    };
    const auto target = site.new_path("target");

    run({"stanza-create"});
    run({"check"});
    run({"backup", "--type=full"});
    const auto segment = site.cluster().archive_current_segment();
    run({"info"});
    run({"info", "--output=json"});
    run({"repo-ls", "--recurse", "--output=json"});
    run({"repo-get", site.objects("keys/").at(0)});
    run({"repo-get", "pgstrata.json"});
    run({"archive-get", segment, site.new_path("got")});
    run({"restore", "--pg1-path=" + target});
    run({"restore", "--pg1-path=" + target, "--set=20000101-000000F"});
    run({"help", "backup", "repo-cipher-pass"});
    run({"backup", "--type=diff"});
    run({"stop"});

    CHECK_THAT(told, Contains("restore command end: completed") && Contains("<redacted>"));
    CHECK_FALSE(tells_passphrase(told));
    CHECK(files_with_passphrase(site.path("log")).empty());
    CHECK(files_with_passphrase(site.path("lock")).empty());
    CHECK(files_with_passphrase(site.repository()).empty());
    CHECK(files_with_passphrase(target).empty());
    CHECK_FALSE(tells_passphrase(site.cluster().log()));
    CHECK(tells_passphrase(read_file(site.configuration()))); // so that the test can fail
}

TEST_CASE("messages about a secret that is wrong do not repeat it", "[secrets][bug-53]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    const std::string secret = kPassphrase;

    const auto given = site.run({"info", "--repo1-cipher-pass=" + secret});
    CHECK(given.status == 31);
    CHECK_FALSE(tells_passphrase(given.text()));

    const auto wrong = site.run({"check", "--log-level-console=trace"},
                                {.environment = {{"PGSTRATA_REPO1_CIPHER_PASS", secret + "x"}}});
    CHECK(wrong.status == 95);
    CHECK_FALSE(tells_passphrase(wrong.text()));

    for (const auto* line : {"repo1-cipher-pass ", "repo1-cipher-pass=${", "repo1-cypher-pass="}) {
        CAPTURE(line);
        replace_line(site, passphrase_line(), line + secret);
        const auto result = site.run({"backup", "--type=full", "--log-level-console=trace"});
        CHECK(result.status != 0);
        CHECK_FALSE(tells_passphrase(result.text()));
        replace_line(site, line + secret, passphrase_line());
    }
    CHECK(files_with_passphrase(site.path("log")).empty());
}

TEST_CASE("a running process shows the passphrase to nobody", "[secrets][bug-53]")
{
    Site site({.cipher = "aes-256-gcm", .secret = kPassphrase});
    // The backup waits for its first segment of WAL, which does not come.
    site.cluster().sql("ALTER SYSTEM SET archive_command = '/bin/false pgstrata'");
    site.cluster().sql("SELECT pg_reload_conf()");
    const ProcessOptions options{.environment = {{"PGSTRATA_REPO1_CIPHER_PASS", kPassphrase}}};
    BackgroundProcess backup({program_under_test(),
                              "--config=" + site.configuration(),
                              "--stanza=main",
                              "--archive-timeout=10m",
                              "--type=full",
                              "backup"},
                             options);
    wait_until("the backup's lease", [&] { return !site.objects("/lease").empty(); });

    const auto process = "/proc/" + std::to_string(backup.pid());
    const auto command_line = read_file(process + "/cmdline");
    CHECK_THAT(command_line, Contains("backup"));
    CHECK_FALSE(tells_passphrase(command_line));
    CHECK_FALSE(std::ifstream(process + "/environ").is_open());
    CHECK_FALSE(std::ifstream(process + "/mem").is_open());
    CHECK(files_with_passphrase(site.path("lock")).empty());
    const auto shown = site.cluster().sql("SELECT string_agg(application_name || query, ',') "
                                          "FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    CHECK_THAT(shown, Contains("pgstrata [backup]"));
    CHECK_FALSE(tells_passphrase(shown));
    backup.signal(SIGTERM);
    CHECK(backup.wait().status == 63);
}
