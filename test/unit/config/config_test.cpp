// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/config/fixture.hpp"

#include "pgstrata/config/config.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>

namespace pgstrata::test {

using Catch::Contains;
using config::Source;

TEST_CASE("defaults differ from command to command", "[config]")
{
    ConfigHost host;

    CHECK(host.load(backup_with({})).text("type") == "incr");
    CHECK(host.load({"restore", "--stanza=m", "--pg1-path=/pg"}).text("type") == "default");
    CHECK(host.load({"restore", "--stanza=m", "--pg1-path=/pg"}).text("set") == "latest");
    CHECK_FALSE(host.load({"info"}).has("type"));
    CHECK_FALSE(host.load({"info"}).has("set"));
    CHECK(host.load({"restore", "--stanza=m", "--pg1-path=/pg"}).flag("allow-root"));
    CHECK_FALSE(host.load({"info"}).flag("allow-root"));
    CHECK(host.load({"info"}).text("output") == "text");
}

TEST_CASE("defaults of every type can be read", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load(backup_with({}));

    CHECK(config.text("compress-type") == "zst");
    CHECK(config.number("compress-level") == 1);
    CHECK(config.number("archive-timeout") == 60000);
    CHECK(config.number("repo-pack-size", 1) == 268435456);
    CHECK(config.number("pg-port", 1) == 5432);
    CHECK(config.flag("archive-check"));
    CHECK_FALSE(config.has("checksum-page"));
    CHECK(config.text("filter").empty());
    CHECK(config.list("exclude").empty());
    CHECK(config.pairs("annotation").empty());
    CHECK(config.source("archive-timeout") == Source::built_in);
}

TEST_CASE("process-max is the number of cores, at most four", "[config]")
{
    ConfigHost host;
    const auto cores = static_cast<std::int64_t>(available_cores());

    CHECK(host.load(backup_with({})).number("process-max") == std::min<std::int64_t>(cores, 4));
    CHECK(host.load(backup_with({"--process-max=9"})).number("process-max") == 9);
}

TEST_CASE("a default that hangs on another option follows it", "[config]")
{
    ConfigHost host;

    CHECK(host.load(backup_with({"--no-online"})).flag("archive-check") == false);
    CHECK(host.load(backup_with({"--no-online"})).flag("archive-mode-check") == false);
    CHECK(host.load(backup_with({"--compress-type=none"})).number("compress-level") == 0);
    CHECK_FALSE(host.load({"restore", "--stanza=m", "--pg1-path=/pg"}).has("target-action"));
    CHECK(host.load({"restore", "--stanza=m", "--pg1-path=/pg", "--type=immediate"})
              .text("target-action") == "pause");
}

TEST_CASE("an option that the command does not know has no value", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load({"info"});

    CHECK_FALSE(config.has("start-fast"));
    CHECK_FALSE(config.has("process-max"));
    CHECK(config.text("filter").empty());
}

TEST_CASE("asking for an option that does not exist is a bug", "[config]")
{
    ConfigHost host;
    const config::Config config = host.load({"info"});

    CHECK_THROWS_MATCHES(config.has("repo1-path"), Error, HasCode(ErrorCode::assertion));
}

TEST_CASE("any option sets the index, gaps are kept, pg1 is always there", "[config]")
{
    ConfigHost host;
    host.write_config("[m]\npg1-path=/a\npg7-path=/b\nrepo4-path=/r4\nrepo2-path=/r2\n");

    const config::Config config = host.load({"check", "--stanza=m"});

    CHECK(config.pg_indexes() == std::vector<unsigned>{1, 7});
    CHECK(config.repo_indexes() == std::vector<unsigned>{2, 4});
    CHECK(config.default_repo() == 2);
    CHECK(config.text("repo-path", 4) == "/r4");
    CHECK(config.text("repo-path") == "/r2");
    CHECK(host.load({"check"}).pg_indexes() == std::vector<unsigned>{1});
    CHECK(host.load({"check"}).repo_indexes() == std::vector<unsigned>{1});
}

TEST_CASE("--repo chooses the default index and must name a configured one", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-path=/r1\nrepo3-path=/r3\n");

    const config::Config config = host.load({"info", "--repo=3"});

    CHECK(config.default_repo() == 3);
    CHECK(config.text("repo-path") == "/r3");
    CHECK(config.repo_indexes() == std::vector<unsigned>{1, 3});
    CHECK(host.fail({"info", "--repo=2"}).code() == ErrorCode::option_invalid_value);
    CHECK(host.fail({"info", "--repo=257"}).code() == ErrorCode::option_invalid_value);
}

TEST_CASE("old names map to the first index or to their own", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nretention-full=3\nrepo-path=/r\nhardlink=n\n"
                      "[m]\ndb-path=/one\ndb2-path=/two\ndb2-port=5433\n");

    const config::Config config = host.load({"backup", "--stanza=m"});

    CHECK(config.number("repo-retention-full", 1) == 3);
    CHECK(config.text("repo-path", 1) == "/r");
    CHECK(config.text("pg-path", 1) == "/one");
    CHECK(config.text("pg-path", 2) == "/two");
    CHECK(config.number("pg-port", 2) == 5433);
    CHECK(config.warnings().empty());
}

TEST_CASE("the begin line shows what is set, in order, redacted and quoted", "[config][bug-53]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-cipher-type=aes-256-gcm\nrepo1-cipher-pass=canary-secret\n"
                      "log-timestamp=n\n");

    const config::Config config = host.load(backup_with({"--exclude=a b",
                                                         "--exclude=c",
                                                         "--annotation=k=v",
                                                         "--start-fast",
                                                         "--no-online",
                                                         "--no-expire-auto"}));

    CHECK(config.non_default_options() ==
          " --annotation=k=v --exclude=\"a b\" --exclude=c --no-expire-auto --no-log-timestamp"
          " --no-online --pg1-path=/pg --repo1-cipher-pass=<redacted>"
          " --repo1-cipher-type=aes-256-gcm --repo1-retention-full=2 --stanza=main --start-fast");
}

TEST_CASE("a restore_command repeats what the command line said and archive-get knows", "[config]")
{
    ConfigHost host;
    const std::string file = host.write("/c.conf", "[global]\nlock-path=/from/file\n");

    const config::Config config = host.load({"restore",
                                             "--stanza=m",
                                             "--pg1-path=/pg",
                                             "--config=" + file,
                                             "--type=immediate",
                                             "--no-log-timestamp",
                                             "--reset-log-path",
                                             "--repo2-path=/r",
                                             "--db-include=x",
                                             "--exec-id=1-2"});

    CHECK(config.command_line_options() == Words{"--config=" + file,
                                                 "--reset-log-path",
                                                 "--no-log-timestamp",
                                                 "--pg1-path=/pg",
                                                 "--repo2-path=/r"});
}

TEST_CASE("archive-get takes the spool that a restore was told, asynchronous or not", "[config]")
{
    ConfigHost host;
    const Words restore{"--stanza=m", "--pg1-path=/pg", "--spool-path=/spool"};
    Words words = restore;
    words.insert(words.begin(), "restore");
    const Words repeated = host.load(words).command_line_options();
    CHECK(repeated == Words{"--pg1-path=/pg", "--spool-path=/spool"});

    Words get{"archive-get", "--stanza=m", "000000010000000000000001", "/x"};
    get.insert(get.end(), repeated.begin(), repeated.end());
    CHECK(host.load(get).text("spool-path") == "/spool");
}

TEST_CASE("a relative --config is repeated as an absolute path", "[config]")
{
    ConfigHost host;
    const std::string file = host.write("/c.conf", "[global]\n");
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(host.root.path());

    const config::Config config = host.load({"info", "--config=c.conf"});
    std::filesystem::current_path(before);

    CHECK(config.command_line_options() == Words{"--config=" + file});
}

TEST_CASE("cmd is the running program unless it is set", "[config]")
{
    ConfigHost host;
    host.environment.executable = "/opt/x/../bin/pgstrata";

    CHECK(host.load(backup_with({})).text("cmd") == "/opt/bin/pgstrata");
    CHECK(host.load(backup_with({"--cmd=/other"})).text("cmd") == "/other");
}

TEST_CASE("a program called by name is looked up in PATH", "[config]")
{
    ConfigHost host;
    const std::string program = host.write("/bin/pgbackrest", "");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    host.environment.executable = "pgbackrest";
    host.environment.variables = {{"PATH", "/nowhere:" + (host.root / "bin")}};

    const config::Config config = host.load({"info"});

    CHECK(config.executable() == program);
    CHECK(config.is_pgbackrest_link());
}

TEST_CASE("root may run only what allows it", "[config]")
{
    ConfigHost host;
    struct Case {
        Words arguments;
        bool is_allowed;
    };
    const auto& [arguments, is_allowed] =
        GENERATE(Case{{"info"}, false},
                 Case{{"info", "--allow-root"}, true},
                 Case{{"restore", "--stanza=m", "--pg1-path=/pg"}, true},
                 Case{{"restore", "--stanza=m", "--pg1-path=/pg", "--no-allow-root"}, false},
                 Case{{"version"}, true},
                 Case{{"help"}, true});
    const config::Config config = host.load(arguments);

    CHECK_NOTHROW(check_root_allowed(config, 1000));
    if (is_allowed) {
        CHECK_NOTHROW(check_root_allowed(config, 0));
    } else {
        CHECK_THROWS_MATCHES(
            check_root_allowed(config, 0), Error, HasCode(ErrorCode::option_invalid));
    }
}

} // namespace pgstrata::test
