// SPDX-License-Identifier: PostgreSQL
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;
using config::Command;
using config::Role;

TEST_CASE("options stand before and after the command, with '=' or as two words", "[config]")
{
    ConfigHost host;
    const Words arguments = GENERATE(Words{"--stanza=main", "info"},
                                     Words{"info", "--stanza=main"},
                                     Words{"--stanza", "main", "info"},
                                     Words{"info", "--stanza", "main"});

    const config::Config config = host.load(arguments);

    CHECK(config.command().id == Command::info);
    CHECK(config.text("stanza") == "main");
    CHECK(config.source("stanza") == config::Source::command_line);
}

TEST_CASE("words after the command are its parameters", "[config]")
{
    ConfigHost host;

    const config::Config config =
        host.load({"archive-get", "--stanza=m", "0000", "--pg1-path=/pg", "odd"});

    CHECK(config.parameters() == Words{"0000", "odd"});
}

TEST_CASE("the number of parameters is checked", "[config]")
{
    ConfigHost host;
    struct Case {
        Words arguments;
        ErrorCode code;
    };
    const auto& [arguments, code] =
        GENERATE(Case{{"info", "extra"}, ErrorCode::parameter_invalid},
                 Case{{"version", "extra"}, ErrorCode::parameter_invalid},
                 Case{{"help", "a", "b", "c"}, ErrorCode::parameter_invalid},
                 Case{{"archive-push", "--stanza=m", "a", "b"}, ErrorCode::parameter_invalid},
                 Case{{"archive-push", "--stanza=m"}, ErrorCode::parameter_required},
                 Case{{"archive-get", "--stanza=m", "a"}, ErrorCode::parameter_required},
                 Case{{"repo-get"}, ErrorCode::parameter_required});

    CHECK(host.fail(arguments).code() == code);
}

TEST_CASE("options without a command ask for one", "[config]")
{
    ConfigHost host;

    CHECK(host.fail({"--stanza=main"}).code() == ErrorCode::command_required);
}

TEST_CASE("nothing, --help and --version need no command", "[config]")
{
    ConfigHost host;

    CHECK(host.load({}).command().id == Command::help);
    CHECK(host.load({"--help"}).command().id == Command::help);
    CHECK(host.load({"--version"}).command().id == Command::version);
    CHECK(host.load({"backup", "--version"}).command().id == Command::version);
    CHECK(host.load({"backup", "--help"}).parameters() == Words{"backup"});
    CHECK(host.load({"help", "backup", "stanza"}).parameters() == Words{"backup", "stanza"});
}

TEST_CASE("the switches --help and --version are on or off and nothing else", "[config]")
{
    ConfigHost host;
    const std::string option = GENERATE("--help", "--version");

    CHECK(host.load({option + "=y"}).command().id != Command::backup);
    CHECK(host.fail({option + "=n"}).code() == ErrorCode::command_required);
    CHECK(host.load(backup_with({option + "=n"})).command().id == Command::backup);
    const Error error = host.fail({option + "=foo"});
    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("'foo'"));
}

TEST_CASE("an unknown command is refused with the nearest one", "[config]")
{
    ConfigHost host;

    const Error error = host.fail({"bakup"});

    CHECK(error.code() == ErrorCode::command_invalid);
    CHECK_THAT(error.what(), Contains("'bakup'"));
    CHECK_THAT(error.hint(), Contains("'backup'"));
    CHECK(host.fail({""}).code() == ErrorCode::command_invalid);
}

TEST_CASE("a command may be shortened, the first in order is meant", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string word;
        Command command;
    };
    const auto& [word, command] = GENERATE(Case{"inf", Command::info},
                                           Case{"repo-l", Command::repo_ls},
                                           Case{"sto", Command::stop},
                                           Case{"vers", Command::version});
    CHECK(host.load({word}).command().id == command);
    CHECK(host.load({"v", "--stanza=main"}).command().id == Command::verify);
}

TEST_CASE("a command that is not built is refused by name", "[config]")
{
    ConfigHost host;
    const std::string name = GENERATE("manifest", "repo-rm", "server", "server-ping");

    const Error error = host.fail({name});

    CHECK(error.code() == ErrorCode::feature_not_supported);
    CHECK_THAT(error.what(), Contains("'" + name + "'"));
}

TEST_CASE("dashes without a name are no option, wherever they stand", "[config]")
{
    ConfigHost host;
    const std::string dashes = GENERATE("-", "--");

    const auto arguments = GENERATE_COPY(std::vector<std::string>{dashes, "info"},
                                         std::vector<std::string>{"info", dashes},
                                         std::vector<std::string>{"repo-ls", dashes, "archive"},
                                         std::vector<std::string>{dashes});

    const Error error = host.fail(arguments);
    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("'" + dashes + "'"));
    CHECK_FALSE(error.hint().empty());
}

TEST_CASE("only archive-push and archive-get have a role besides main", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"info:main"}).role() == Role::main);
    CHECK(host.load({"archive-push:async", "--stanza=m"}).role() == Role::async);
    CHECK(host.load({"archive-get:async", "--stanza=m", "--pg1-path=/pg", "w"}).role() ==
          Role::async);
    for (const char* word :
         {"info:async", "archive-push:local", "archive-push:", "backup:remote"}) {
        CAPTURE(word);
        CHECK(host.fail({word, "--stanza=m"}).code() == ErrorCode::feature_not_supported);
    }
}

TEST_CASE("in the background archive-push has no parameter and archive-get one", "[config]")
{
    ConfigHost host;

    CHECK(host.fail({"archive-push:async", "--stanza=m", "w"}).code() ==
          ErrorCode::parameter_invalid);
    CHECK(host.fail({"archive-get:async", "--stanza=m", "--pg1-path=/pg"}).code() ==
          ErrorCode::parameter_required);
}

TEST_CASE("a process in the background gets the options of the command line and no secret",
          "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=canary\n"
                      "process-max=3\n");
    host.environment.variables = {{"PGSTRATA_COMPRESS_LEVEL", "5"}};

    const auto words = host.load({"--stanza=m",
                                  "archive-push",
                                  "--exec-id=1-2",
                                  "--archive-async",
                                  "--no-archive-check",
                                  "--reset-log-path",
                                  "w"})
                           .background_options();

    CHECK(words ==
          Words{"--archive-async=y", "--no-archive-check", "--reset-log-path", "--stanza=m"});
}

TEST_CASE("a process in the background finds the configuration file of the environment", "[config]")
{
    ConfigHost host;
    const std::string file = host.write("/c.conf", "[global]\n");
    const std::string variable = GENERATE("PGSTRATA_CONFIG", "PGBACKREST_CONFIG");
    host.environment.executable = variable == "PGSTRATA_CONFIG" ? "/b/pgstrata" : "/b/pgbackrest";
    host.environment.variables = {{variable, std::filesystem::relative(file)}};

    const Words arguments{"--stanza=m", "archive-push", "w"};

    CHECK(host.load(arguments).background_options() == Words{"--stanza=m", "--config=" + file});
}

TEST_CASE("option names may be shortened to a unique beginning", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"info", "--stan=main"}).text("stanza") == "main");
    CHECK(host.load({"info", "--repo3-pat=/r"}).text("repo-path", 3) == "/r");
    CHECK(host.load({"info", "--no-log-ti"}).flag("log-timestamp") == false);
    CHECK(host.load(backup_with({"--retention-di=4"})).number("repo-retention-diff", 1) == 4);
}

TEST_CASE("an ambiguous option name is refused and lists what it may stand for", "[config]")
{
    ConfigHost host;

    const Error error = host.fail({"info", "--log-level=info"});

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("ambiguous"));
    CHECK_THAT(error.hint(), Contains("log-level-console") && Contains("log-level-stderr"));
}

TEST_CASE("boolean options take five forms", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string argument;
        bool expected;
    };
    const auto& [argument, expected] = GENERATE(Case{"--start-fast", true},
                                                Case{"--start-fast=y", true},
                                                Case{"--start-fast=n", false},
                                                Case{"--no-start-fast", false},
                                                Case{"--reset-start-fast", false});
    CHECK(host.load(backup_with({argument})).flag("start-fast") == expected);
}

TEST_CASE("a boolean option accepts y and n only", "[config]")
{
    ConfigHost host;
    const std::string value = GENERATE("yes", "Y", "true", "1", "on");

    const Error error = host.fail(backup_with({"--start-fast=" + value}));

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.hint(), Contains("y, n"));
}

TEST_CASE("a boolean option does not swallow the next word", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"--no-log-timestamp", "info"}).command().id == Command::info);
    CHECK(host.load({"--log-timestamp", "info"}).command().id == Command::info);
}

TEST_CASE("--reset- brings the default back in spite of environment and files", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nlog-path=/from/file\n");
    host.environment.variables = {{"PGSTRATA_LOG_PATH", "/from/environment"}};

    CHECK(host.load({"info", "--reset-log-path"}).text("log-path") == "/var/log/pgstrata");
    CHECK(host.load({"info"}).text("log-path") == "/from/environment");
}

TEST_CASE("misused options are refused with the option's name", "[config]")
{
    ConfigHost host;
    struct Case {
        Words options;
        std::string part;
    };
    const auto& [options, part] =
        GENERATE(Case{{"--no-stanza"}, "'stanza'"},
                 Case{{"--reset-stanza"}, "'stanza'"},
                 Case{{"--reset-set"}, "'set'"},
                 Case{{"--no-log-path"}, "'log-path'"},
                 Case{{"--no-log-timestamp=y"}, "'log-timestamp'"},
                 Case{{"--reset-log-path=/x"}, "'log-path'"},
                 Case{{"--log-path=/a", "--log-path=/b"}, "multiple times"},
                 Case{{"--log-timestamp", "--log-timestamp"}, "multiple times"},
                 Case{{"--log-timestamp", "--no-log-timestamp"}, "both set and negated"},
                 Case{{"--log-path=/a", "--reset-log-path"}, "both set and negated"},
                 Case{{"--no-such-thing"}, "'such-thing'"},
                 Case{{"--bogus=1"}, "'bogus'"},
                 Case{{"--"
                       "=x"},
                      "unknown option"},
                 Case{{"--stanza"}, "needs a value"},
                 Case{{"-x"}, "'-x'"},
                 Case{{"--start-fast"}, "not valid for command 'info'"},
                 Case{{"--process=1"}, "not valid for command 'info'"},
                 Case{{"--repo-host-user=x"}, "needs an index"},
                 Case{{"--repo0-path=/x"}, "out of range"},
                 Case{{"--repo257-path=/x"}, "out of range"},
                 Case{{"--repo99999999999-path=/x"}, "out of range"},
                 Case{{"--repo01-path=/x"}, "out of range"},
                 Case{{"--log1-path=/x"}, "takes none"},
                 Case{{"--" + std::string(65, 'a') + "=x"}, "longer than 64"});
    Words arguments = options;
    arguments.insert(arguments.begin(), "info");

    const Error error = host.fail(arguments);

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains(part));
}

TEST_CASE("an unknown option comes with the nearest name", "[config]")
{
    ConfigHost host;

    CHECK_THAT(host.fail({"info", "--stnaza=main"}).hint(), Contains("'stanza'"));
    CHECK_THAT(host.fail({"info", "--repo2-pahts=/x"}).hint(), Contains("'repo2-path'"));
    CHECK_THAT(host.fail({"info", "--repo-host-user=x"}).hint(), Contains("'repo1-host-user'"));
    CHECK_THAT(host.fail({"info", "--log1-path=/x"}).hint(), Contains("'log-path'"));
    CHECK(host.fail({"info", "--qqqqqqqq=x"}).hint().empty());
}

TEST_CASE("lists and hashes may be repeated", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load({"restore",
                                             "--stanza=m",
                                             "--pg1-path=/pg",
                                             "--db-include=a",
                                             "--db-include=b",
                                             "--link-map=x=/1",
                                             "--link-map=y=/2"});

    CHECK(config.list("db-include") == Words{"a", "b"});
    REQUIRE(config.pairs("link-map").size() == 2);
    CHECK(config.pairs("link-map")[1] == std::pair<std::string, std::string>("y", "/2"));
}

TEST_CASE("a dependency that is not met itself lets nothing depend on it", "[config]")
{
    ConfigHost host;
    const std::string option =
        GENERATE("--archive-copy", "--archive-mode-check", "--no-archive-mode-check");

    const Error error = host.fail(backup_with({"--no-online", option}));

    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("is not valid without option 'archive-check'"));
    host.write_config("[global]\narchive-copy=y\n");
    CHECK_FALSE(host.load(backup_with({"--no-online"})).flag("archive-copy"));
}

TEST_CASE("an option whose dependency is not met is refused on the command line only", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nrecovery-option=a=b\n");
    const Words restore = {"restore", "--stanza=m", "--pg1-path=/pg"};

    const Error error = host.fail({"restore", "--stanza=m", "--pg1-path=/pg", "--target=x"});
    CHECK(error.code() == ErrorCode::option_invalid);
    CHECK_THAT(error.what(), Contains("'target'") && Contains("lsn, name, time or xid"));
    CHECK(host.load({"restore", "--stanza=m", "--pg1-path=/pg", "--type=none"})
              .has("recovery-option") == false);
    CHECK(host.load(restore).pairs("recovery-option").size() == 1);
}

TEST_CASE("a required option that is missing is named with its command", "[config]")
{
    ConfigHost host;
    struct Case {
        Words arguments;
        std::string message;
        std::string hint;
    };
    const auto& [arguments, message, hint] = GENERATE(
        Case{{"backup"}, "backup command requires option: stanza", "--stanza"},
        Case{{"backup", "--stanza=m"}, "backup command requires option: pg1-path", "stanza exist"},
        Case{{"check", "--stanza=m"}, "check command requires option: pg1-path", "stanza exist"},
        Case{{"backup", "--stanza=m", "--pg1-path=/a", "--pg3-port=1"},
             "backup command requires option: pg3-path",
             "stanza exist"},
        Case{{"restore", "--stanza=m", "--pg1-path=/a", "--type=time"},
             "restore command requires option: target",
             "--target"});

    // pg3-port alone depends on pg3-path, so it configures the index and is ignored in a file.
    if (arguments.size() == 4 && arguments.back() == "--pg3-port=1") {
        host.write_config("[m]\npg3-port=1\n");
    }
    const Error error = host.fail(arguments.back() == "--pg3-port=1"
                                      ? Words{"backup", "--stanza=m", "--pg1-path=/a"}
                                      : arguments);

    CHECK(error.code() == ErrorCode::option_required);
    CHECK(std::string(error.what()) == message);
    CHECK_THAT(error.hint(), Contains(hint));
}

TEST_CASE("check without a stanza needs no data directory", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"check"}).has("pg-path", 1) == false);
}

} // namespace pgstrata::test
