// SPDX-License-Identifier: PostgreSQL
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;

TEST_CASE("a variable sets the option of its name", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_STANZA", "main"},
                                  {"PGSTRATA_REPO2_PATH", "/second"},
                                  {"PGSTRATA_LOG_TIMESTAMP", "n"},
                                  {"PATH", "/bin"}};

    const config::Config config = host.load({"info"});

    CHECK(config.text("stanza") == "main");
    CHECK(config.text("repo-path", 2) == "/second");
    CHECK(config.repo_indexes() == std::vector<unsigned>{2});
    CHECK(config.flag("log-timestamp") == false);
    CHECK(config.source("stanza") == config::Source::environment);
    CHECK(config.warnings().empty());
}

TEST_CASE("old names work in the environment, shortened ones do not", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_REPO_PATH", "/old"}, {"PGSTRATA_STANZ", "main"}};

    const config::Config config = host.load({"info"});

    CHECK(config.text("repo-path", 1) == "/old");
    CHECK_FALSE(config.has("stanza"));
}

TEST_CASE("lists and hashes are split at colons", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_DB_INCLUDE", "a:b:c"},
                                  {"PGSTRATA_TABLESPACE_MAP", "x=/1:y=/2"}};

    const config::Config config = host.load({"restore", "--stanza=m", "--pg1-path=/pg"});

    CHECK(config.list("db-include") == Words{"a", "b", "c"});
    CHECK(config.pairs("tablespace-map").size() == 2);
}

TEST_CASE("an empty variable or part of one is an error that names the variable", "[config]")
{
    ConfigHost host;
    const std::string value = GENERATE("", "a::b", "a:", ":");
    host.environment.variables = {{"PGSTRATA_DB_INCLUDE", value}};

    const Error error = host.fail({"restore", "--stanza=m", "--pg1-path=/pg"});

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("PGSTRATA_DB_INCLUDE") && Contains("'db-include'"));
}

TEST_CASE("variables of no option, NO_ and RESET_ are ignored with a warning", "[config]")
{
    ConfigHost host;
    const std::string name = GENERATE("PGSTRATA_BOGUS",
                                      "PGSTRATA_NO_LOG_TIMESTAMP",
                                      "PGSTRATA_RESET_LOG_PATH",
                                      "PGSTRATA_log_path",
                                      "PGSTRATA_");
    host.environment.variables = {{name, "n"}};

    const config::Config config = host.load({"info"});

    REQUIRE(config.warnings().size() == 1);
    CHECK_THAT(config.warnings().front(), Contains("'" + name + "'"));
    CHECK(config.flag("log-timestamp"));
}

TEST_CASE("a variable that the command does not know is ignored silently", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_START_FAST", "nonsense"},
                                  {"PGSTRATA_REPO4_RETENTION_FULL", "1"}};

    const config::Config config = host.load({"info"});

    CHECK(config.warnings().empty());
    CHECK(config.repo_indexes() == std::vector<unsigned>{1});
}

TEST_CASE("an option set by two variables is an error", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGSTRATA_REPO_PATH", "/old"}, {"PGSTRATA_REPO1_PATH", "/new"}};

    CHECK(host.fail({"info"}).code() == ErrorCode::option_invalid);
}

TEST_CASE("PGBACKREST_ variables count under that name only, after PGSTRATA_ ones", "[config]")
{
    ConfigHost host;
    host.environment.variables = {{"PGBACKREST_STANZA", "theirs"},
                                  {"PGBACKREST_LOG_PATH", "/theirs"},
                                  {"PGSTRATA_LOG_PATH", "/ours"}};
    CHECK_FALSE(host.load({"info"}).has("stanza"));

    host.environment.executable = "/usr/bin/pgbackrest";
    const config::Config config = host.load({"info"});

    CHECK(config.is_pgbackrest_link());
    CHECK(config.text("stanza") == "theirs");
    CHECK(config.text("log-path") == "/ours");
}

TEST_CASE("help and version read neither environment nor files", "[config]")
{
    ConfigHost host;
    host.write_config("this is no configuration\n");
    host.environment.variables = {{"PGSTRATA_LOG_PATH", ""}, {"PGSTRATA_BOGUS", "x"}};
    const Words arguments = GENERATE(Words{"help"}, Words{"version"}, Words{"backup", "--help"});

    CHECK(host.load(arguments).warnings().empty());
}

TEST_CASE("the process environment holds arguments and variables", "[config]")
{
    std::string name = "/bin/pgstrata";
    std::string word = "info";
    char* argv[] = {name.data(), word.data(), nullptr};
    REQUIRE(::setenv("PGSTRATA_CONFIG_TEST", "a=b", 1) == 0);

    const config::Environment environment = config::process_environment(2, argv);
    ::unsetenv("PGSTRATA_CONFIG_TEST");

    CHECK(environment.executable == name);
    CHECK(environment.arguments == Words{"info"});
    CHECK(std::count(environment.variables.begin(),
                     environment.variables.end(),
                     std::pair<std::string, std::string>("PGSTRATA_CONFIG_TEST", "a=b")) == 1);
}

} // namespace pgstrata::test
