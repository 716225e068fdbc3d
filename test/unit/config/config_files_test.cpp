// SPDX-License-Identifier: PostgreSQL
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;
using config::Source;

namespace {

std::string log_path(ConfigHost& host, Words options)
{
    options.insert(options.begin(), "info");
    return host.load(options).text("log-path");
}

std::string setting(const std::string& path)
{
    return "[global]\nlog-path=" + path + "\n";
}

} // namespace

TEST_CASE("the first source that has an option wins", "[config]")
{
    ConfigHost host;
    const Words sections = {"[global]", "[global:info]", "[main]", "[main:info]"};
    const auto count = GENERATE(range(std::size_t{0}, std::size_t{7}));
    std::string file;
    std::string expected = "/var/log/pgstrata";
    for (std::size_t i = 0; i < std::min(count, sections.size()); ++i) {
        expected = "/" + std::to_string(i);
        // Sections with the stronger voice stand in front: order in the file does not count.
        file = sections[i] + "\nlog-path=" + expected + "\n" + file;
    }
    host.write_config(file);
    Words arguments = {"info", "--stanza=main"};
    if (count > 4) {
        host.environment.variables = {{"PGSTRATA_LOG_PATH", expected = "/environment"}};
    }
    if (count > 5) {
        arguments.push_back("--log-path=" + (expected = "/line"));
    }

    const config::Config config = host.load(arguments);

    CHECK(config.text("log-path") == expected);
    CHECK(config.source("log-path") == (count == 0   ? Source::built_in
                                        : count <= 4 ? Source::file
                                        : count == 5 ? Source::environment
                                                     : Source::command_line));
}

TEST_CASE("sections of other stanzas and commands do not count", "[config]")
{
    ConfigHost host;
    host.write_config(
        "[other]\nlog-path=/a\n[main:backup]\nlog-path=/b\n[other:info]\nlog-path=/c\n"
        "[main:bakup]\nlog-path=/d\n");

    const config::Config config = host.load({"info", "--stanza=main"});

    CHECK(config.text("log-path") == "/var/log/pgstrata");
    REQUIRE(config.warnings().size() == 1);
    CHECK_THAT(config.warnings().front(), Contains("'main:bakup' names no command"));
}

TEST_CASE("the stanza that chooses the section may come from the environment", "[config]")
{
    ConfigHost host;
    host.write_config("[main]\npg1-path=/data\n");
    host.environment.variables = {{"PGSTRATA_STANZA", "main"}};

    CHECK(host.load({"check"}).text("pg-path", 1) == "/data");
}

TEST_CASE("list values are never merged across sources", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\ndb-include=a\ndb-include=b\n[m]\ndb-include=c\npg1-path=/pg\n");

    CHECK(host.load({"restore", "--stanza=m"}).list("db-include") == Words{"c"});
    CHECK(host.load({"restore", "--stanza=m", "--db-include=d"}).list("db-include") == Words{"d"});
}

TEST_CASE("the stanzas of the files are listed", "[config]")
{
    ConfigHost host;
    host.write_config(
        "[global]\n[zeta]\npg1-path=/z\n[global:backup]\n[alpha:backup]\n[zeta:check]\n");
    host.write("/etc/pgstrata/conf.d/x.conf", "[mid]\n");

    CHECK(host.load({"check"}).stanzas() == Words{"alpha", "mid", "zeta"});
}

TEST_CASE("which files are read", "[config]")
{
    ConfigHost host;
    host.write_config(setting("/default"));
    const std::string other = host.write("/other.conf", setting("/other"));
    host.write("/dir/pgstrata.conf", setting("/dir"));
    const std::string directory = host.root / "dir";
    const std::string missing = host.root / "missing";

    SECTION("nothing given: the default file, then conf.d")
    {
        CHECK(log_path(host, {}) == "/default");
        std::filesystem::remove(host.root / "etc/pgstrata/pgstrata.conf");
        CHECK(log_path(host, {}) == "/var/log/pgstrata");
        host.write("/etc/pgstrata/conf.d/a.conf", setting("/included"));
        CHECK(log_path(host, {}) == "/included");
    }
    SECTION("--config: only that file, which must exist")
    {
        host.write("/etc/pgstrata/conf.d/a.conf", "[global]\nlock-path=/included\n");
        CHECK(log_path(host, {"--config=" + other}) == "/other");
        CHECK(host.load({"info", "--config", other}).text("lock-path") == "/tmp/pgstrata");
        CHECK(host.fail({"info", "--config=" + missing}).code() == ErrorCode::file_missing);
    }
    SECTION("--config-path: file and conf.d of that directory, both optional")
    {
        CHECK(log_path(host, {"--config-path=" + directory}) == "/dir");
        std::filesystem::remove(directory + "/pgstrata.conf");
        host.write("/dir/conf.d/a.conf", setting("/dir/included"));
        CHECK(log_path(host, {"--config-path=" + directory}) == "/dir/included");
        CHECK(log_path(host, {"--config-path=" + missing}) == "/var/log/pgstrata");
    }
    SECTION("--config and --config-path: that file and the conf.d of the directory")
    {
        host.write("/dir/conf.d/a.conf", "[global]\nlock-path=/included\n");
        const config::Config config =
            host.load({"info", "--config=" + other, "--config-path=" + directory});
        CHECK(config.text("log-path") == "/other");
        CHECK(config.text("lock-path") == "/included");
        CHECK(host.fail({"info", "--config=" + missing, "--config-path=" + directory}).code() ==
              ErrorCode::file_missing);
    }
    SECTION("--config-include-path: the default file and that directory, which must exist")
    {
        host.write("/inc/a.conf", "[global]\nlock-path=/included\n");
        const config::Config config =
            host.load({"info", "--config-include-path=" + (host.root / "inc")});
        CHECK(config.text("log-path") == "/default");
        CHECK(config.text("lock-path") == "/included");
        CHECK(host.fail({"info", "--config-include-path=" + missing}).code() ==
              ErrorCode::path_missing);
    }
    SECTION("--no-config: nothing, unless a directory is given")
    {
        host.write("/etc/pgstrata/conf.d/a.conf", setting("/included"));
        host.write("/dir/conf.d/a.conf", setting("/dir/included"));
        CHECK(log_path(host, {"--no-config"}) == "/var/log/pgstrata");
        CHECK(log_path(host, {"--no-config", "--config-path=" + directory}) == "/dir/included");
        CHECK(log_path(host, {"--no-config", "--config-include-path=" + directory + "/conf.d"}) ==
              "/dir/included");
    }
    SECTION("the choice may come from the environment")
    {
        host.environment.variables = {{"PGSTRATA_CONFIG", other}};
        CHECK(log_path(host, {}) == "/other");
    }
}

TEST_CASE("called as pgbackrest its files are read when ours is absent", "[config]")
{
    ConfigHost host;
    host.environment.executable = "/usr/bin/pgbackrest";
    CHECK(log_path(host, {}) == "/var/log/pgbackrest");

    host.write("/etc/pgbackrest.conf", setting("/old"));
    host.write("/etc/pgbackrest/conf.d/a.conf", "[global]\nlock-path=/included\n");
    CHECK(log_path(host, {}) == "/old");
    CHECK(host.load({"info"}).text("lock-path") == "/included");

    host.write("/etc/pgbackrest/pgbackrest.conf", setting("/theirs"));
    CHECK(log_path(host, {}) == "/theirs");
    CHECK(log_path(host, {"--config-path=" + (host.root / "etc/pgbackrest")}) == "/theirs");

    host.write_config(setting("/ours"));
    CHECK(log_path(host, {}) == "/ours");
    CHECK(host.load({"info"}).text("lock-path") == "/tmp/pgbackrest");

    host.environment.executable = "/usr/bin/pgstrata";
    std::filesystem::remove(host.root / "etc/pgstrata/pgstrata.conf");
    CHECK(log_path(host, {}) == "/var/log/pgstrata");
}

TEST_CASE("called as pgbackrest its directories are the defaults", "[config]")
{
    ConfigHost host;
    host.environment.executable = "/usr/bin/pgbackrest";

    const config::Config config = host.load({"info"});

    CHECK(config.text("lock-path") == "/tmp/pgbackrest");
    CHECK(config.text("repo-path", 1) == "/var/lib/pgbackrest");
    CHECK(config.executable() == "/usr/bin/pgbackrest");
}

TEST_CASE("conf.d is read in the order of names, other files in it are not", "[config]")
{
    ConfigHost host;
    host.write("/etc/pgstrata/conf.d/b.conf", "[m]\ndb-include=second\n");
    host.write("/etc/pgstrata/conf.d/a.conf", "[m]\npg1-path=/pg\ndb-include=first\n");
    host.write("/etc/pgstrata/conf.d/c.conf~", "no configuration\n");

    CHECK(host.load({"restore", "--stanza=m"}).list("db-include") == Words{"first", "second"});
}

TEST_CASE("a scalar option set twice in a section is refused, in two files too", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nlog-path=/a\n[m]\n[global]\n\nlog-path=/b\n");

    const Error error = host.fail({"info"});

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(),
               Contains("'log-path'") && Contains("pgstrata.conf line 2") && Contains("line 6"));
    host.write_config(setting("/a"));
    host.write("/etc/pgstrata/conf.d/a.conf", setting("/b"));
    CHECK_THAT(host.fail({"info"}).what(), Contains("conf.d/a.conf line 2"));
}

TEST_CASE("an option under its old and its new name in one section is refused", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo-path=/a\nrepo1-path=/b\n");

    const Error error = host.fail({"info"});

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("'repo-path'") && Contains("'repo1-path'"));
}

TEST_CASE("what a file must not hold is ignored with file, line and reason", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string text;
        std::string part;
    };
    const auto& [text, part] = GENERATE(
        Case{"[global]\nbogus=1\n", "unknown option 'bogus'"},
        Case{"[global]\nlog-pth=/x\n", "did you mean 'log-path'"},
        Case{"[global]\nlog-pat=/x\n", "unknown option 'log-pat'"},
        Case{"[global]\nno-log-timestamp=y\n", "'no-log-timestamp'"},
        Case{"[global]\nreset-log-path=y\n", "'reset-log-path'"},
        Case{"[global]\nset=latest\n", "'set' belongs on the command line"},
        Case{"[global]\npg1-path=/x\n", "'pg1-path' belongs in the section of a stanza"},
        Case{"[global:info]\npg1-path=/x\n", "'pg1-path' belongs in the section"},
        Case{"[global:info]\nstart-fast=y\n", "'start-fast' is not valid for command 'info'"},
        Case{"[m:info]\nstart-fast=y\n", "'start-fast' is not valid for command 'info'"},
        Case{"[global]\nrepo-host-user=x\n", "write 'repo1-host-user'"},
        Case{"[global]\nrepo300-path=/x\n", "out of range"},
        Case{"[global]\nlog2-path=/x\n", "takes no index"});
    host.write_config(text);

    const config::Config config = host.load({"info", "--stanza=m"});

    REQUIRE(config.warnings().size() == 1);
    CHECK_THAT(config.warnings().front(), Contains(part) && Contains("pgstrata.conf line 2"));
    CHECK(config.text("log-path") == "/var/log/pgstrata");
}

TEST_CASE("an option that the command does not know is ignored silently in a plain section",
          "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nstart-fast=nonsense\n[m]\nspool-path=relative\n");

    CHECK(host.load({"info", "--stanza=m"}).warnings().empty());
}

TEST_CASE("an empty value in a file is an error with file and line", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\n\nlog-path=\n");

    const Error error = host.fail({"info"});

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("'log-path'") && Contains("pgstrata.conf line 3"));
}

TEST_CASE("${NAME} in a file is replaced from the environment", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"DIR", "data"}, {"N_1", "x"}};
    struct Case {
        std::string value;
        std::string expected;
    };
    const auto& [value, expected] = GENERATE(Case{"/${DIR}/a", "/data/a"},
                                             Case{"/${DIR}${N_1}", "/datax"},
                                             Case{"/$$", "/$$"},
                                             Case{"/$DIR", "/$DIR"},
                                             Case{"/a$", "/a$"},
                                             Case{"/$${DIR}", "/${DIR}"},
                                             Case{"/$$${DIR}", "/$${DIR}"},
                                             Case{"/$${", "/${"});
    host.write_config(setting(value));

    CHECK(log_path(host, {}) == expected);
}

TEST_CASE("a ${NAME} that cannot be replaced is an error with option, file and line", "[config]")
{
    ConfigHost host;
    const std::string value = GENERATE("/${UNSET}", "/${", "/${}", "/${A", "/${a b}", "/${1}");
    host.write_config(setting(value));

    const Error error = host.fail({"info"});

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("'log-path'") && Contains("pgstrata.conf line 2"));
}

TEST_CASE("an unset variable in a value that is not used does no harm", "[config]")
{
    ConfigHost host;
    host.write_config(setting("/${UNSET}"));

    CHECK(log_path(host, {"--log-path=/x"}) == "/x");
}

} // namespace pgstrata::test
