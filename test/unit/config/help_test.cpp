// SPDX-License-Identifier: PostgreSQL
#include "config/settings.hpp"
#include "support/matchers.hpp"
#include "unit/config/fixture.hpp"

#include "pgstrata/config/help.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <cstdlib>
#include <sstream>

namespace pgstrata::test {

using Catch::Contains;
using config::OptionRow;
using config::render_help;

namespace {

const std::string kBegin = ".\\\" BEGIN OPTIONS\n";
const std::string kEnd = ".\\\" END OPTIONS\n";

std::string escaped(std::string_view name)
{
    std::string text;
    for (const char c : name) {
        text += c == '-' ? "\\-" : std::string(1, c);
    }
    return text;
}

std::string manual()
{
    return read_text_file(PGSTRATA_MANUAL);
}

} // namespace

TEST_CASE("general help lists the commands that are not internal", "[config]")
{
    ConfigHost host;
    const std::string text = render_help(host.load({}));

    for (const config::CommandRow& row : config::command_table()) {
        const bool is_listed =
            text.find("\n    " + std::string(row.name) + " ") != std::string::npos;
        CHECK(is_listed == !row.is_internal);
    }
    CHECK(text == render_help(host.load({"help"})));
    CHECK(text == render_help(host.load({"--help"})));
    CHECK_THAT(text, Contains("not supported yet"));
}

TEST_CASE("the help of a command lists exactly its options that are not internal", "[config]")
{
    ConfigHost host;
    for (const config::CommandRow& command : config::command_table()) {
        const std::string text = render_help(host.load({"help", std::string(command.name)}));
        for (const OptionRow& row : config::option_table()) {
            INFO(command.name << " " << row.name);
            const std::string line = "\n    --" + std::string(row.name);
            const bool is_listed = text.find(line + " ") != std::string::npos ||
                                   text.find(line + "\n") != std::string::npos;
            const bool is_internal =
                row.is_internal || (row.internal_commands & config::command_bit(command.id)) != 0;
            CHECK(is_listed == (is_valid_for(row, command) && !is_internal));
        }
    }
}

TEST_CASE("the help of a command is grouped and fits a terminal", "[config]")
{
    ConfigHost host;
    const std::string text = render_help(host.load({"backup", "--help"}));

    CHECK_THAT(text, Contains("\nCommand Options:\n") && Contains("\nGeneral Options:\n"));
    CHECK_THAT(text, Contains("\nRepository Options:\n") && Contains("\nStanza Options:\n"));
    CHECK(text.find("--start-fast") < text.find("\nGeneral Options:\n"));
    CHECK(text.find("--pg-path") > text.find("\nStanza Options:\n"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        CHECK(line.size() <= 80);
    }
}

TEST_CASE("help shows the default and what the command line sets", "[config]")
{
    ConfigHost host;

    CHECK_THAT(render_help(host.load({"backup", "--help", "--repo2-path=/r", "--process-max=7"})),
               Contains("[current=/r,") && Contains("default=/var/lib/pgstrata]") &&
                   Contains("[current=7,"));
    CHECK_THAT(render_help(host.load({"help", "backup"})), Contains("[default=3]"));
    host.environment.executable = "/usr/bin/pgbackrest";
    CHECK_THAT(render_help(host.load({"help", "backup"})), Contains("/var/lib/pgbackrest]"));
}

TEST_CASE("help takes the options of the command that it is about", "[config]")
{
    ConfigHost host;

    CHECK_THAT(render_help(host.load({"help", "backup", "--repo1-path=/r", "--stanza=main"})),
               Contains("[current=/r,"));
    CHECK(host.fail({"help", "info", "--archive-copy"}).code() == ErrorCode::option_invalid);
    CHECK(host.fail({"help", "backup", "--repo1-path=r"}).code() ==
          ErrorCode::option_invalid_value);
}

TEST_CASE("help without a command and version pass over the options of commands", "[config]")
{
    ConfigHost host;
    const std::string option = GENERATE("--stanza=x", "--repo1-path=r", "--set=x", "--no-online");
    const std::string name = GENERATE("help", "version", "--help", "--version");

    const config::Config config = host.load({name, option});

    CHECK_FALSE(config.has("stanza"));
    CHECK(host.fail({name, "--nonsense=x"}).code() == ErrorCode::option_invalid);
    CHECK(host.load({"version", "--output=num", option}).text("output") == "num");
}

TEST_CASE("the help of an option tells its values and other names", "[config]")
{
    ConfigHost host;
    const std::string name =
        GENERATE("repo-retention-full", "repo1-retention-full", "retention-full");
    const std::string text = render_help(host.load({"help", "backup", name}));

    CHECK_THAT(text, Contains("'repo-retention-full'") && Contains("1 to 9999999"));
    CHECK_THAT(text, Contains("old names: retention-full"));
    CHECK_THAT(text,
               Contains("PGSTRATA_REPO1_RETENTION_FULL") && Contains("--repo1-retention-full"));
}

TEST_CASE("the help of an option shows its names and values as they are written", "[config]")
{
    ConfigHost host;
    const auto text = [&](const std::string& command, const std::string& option) {
        return render_help(host.load({"help", command, option}));
    };

    CHECK_THAT(text("backup", "pg-path"), Contains("\nold names: db-path, db1-path\n"));
    CHECK_THAT(text("backup", "repo-cipher-type"),
               !Contains("old names") && Contains("\nvalues: none, aes-256-cbc, aes-256-gcm\n"));
    CHECK_THAT(text("backup", "compress-level"), Contains("\nwith compress-type gz: -1 to 9\n"));
    CHECK_THAT(text("backup", "pg-path"), Contains("\nenvironment: PGSTRATA_PG1_PATH\n"));
    host.environment.executable = "/usr/bin/pgbackrest";
    CHECK_THAT(text("backup", "pg-path"), Contains("\nenvironment: PGBACKREST_PG1_PATH\n"));
}

TEST_CASE("every option has help for every command it is valid for", "[config]")
{
    ConfigHost host;
    for (const config::CommandRow& command : config::command_table()) {
        for (const OptionRow& row : config::option_table()) {
            if (is_valid_for(row, command)) {
                const std::string text = render_help(
                    host.load({"help", std::string(command.name), std::string(row.name)}));
                CHECK_THAT(text, Contains("'" + std::string(row.name) + "'"));
            }
        }
    }
}

TEST_CASE("help tells how far an option is built for the command", "[config]")
{
    ConfigHost host;
    struct Case {
        Words arguments;
        std::string part;
    };
    const auto& [arguments, part] =
        GENERATE(Case{{"help", "backup", "protocol-timeout"}, "(accepted, has no effect)"},
                 Case{{"help", "backup", "pg-version-force"}, "(not supported yet)"});

    CHECK_THAT(render_help(host.load(arguments)), Contains(part));
    CHECK_THAT(render_help(host.load({"help", "backup", "online"})), !Contains("("));
    CHECK_THAT(render_help(host.load({"help", "restore", "delta"})), !Contains("("));
}

TEST_CASE("help for what does not exist says so", "[config]")
{
    ConfigHost host;
    const config::Config no_command = host.load({"help", "bogus"});
    const config::Config no_option = host.load({"help", "info", "stnaza"});
    const config::Config other_option = host.load({"help", "info", "start-fast"});

    CHECK_THROWS_MATCHES(render_help(no_command), Error, HasCode(ErrorCode::command_invalid));
    CHECK_THROWS_MATCHES(render_help(no_option), Error, HasCode(ErrorCode::option_invalid));
    CHECK_THROWS_MATCHES(render_help(other_option), Error, HasCode(ErrorCode::option_invalid));
}

// PGSTRATA_UPDATE_MANUAL=1 writes the options into the page in place of comparing them.
TEST_CASE("the manual page holds the option table", "[config]")
{
    std::string page = manual();
    const auto begin = page.find(kBegin);
    const auto end = page.find(kEnd);
    REQUIRE(begin != std::string::npos);
    REQUIRE(end != std::string::npos);
    const auto from = begin + kBegin.size();
    if (std::getenv("PGSTRATA_UPDATE_MANUAL") != nullptr) {
        page.replace(from, end - from, config::render_option_manual());
        std::ofstream(PGSTRATA_MANUAL) << page;
        return;
    }
    INFO("run this test with PGSTRATA_UPDATE_MANUAL=1 to write the options into the page");
    CHECK((page.substr(from, end - from) == config::render_option_manual()));
}

TEST_CASE("every option stands in the manual page once", "[config]")
{
    const std::string page = manual();
    for (const OptionRow& row : config::option_table()) {
        INFO(row.name);
        const std::string line = "\n.B " + escaped(row.name) + "\n";
        const auto first = page.find(line);
        CHECK(first != std::string::npos);
        CHECK(page.find(line, first + 1) == std::string::npos);
    }
}

TEST_CASE("the sample configuration loads without a warning", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_REPO1_CIPHER_PASS", "x"}};

    const config::Config config =
        host.load({"backup", "--stanza=main", std::string("--config=") + PGSTRATA_SAMPLE});

    CHECK(config.warnings().empty());
    CHECK(config.notes().empty());
    CHECK(config.stanzas() == Words{"main"});
}

} // namespace pgstrata::test
