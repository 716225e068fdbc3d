// SPDX-License-Identifier: PostgreSQL
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;

TEST_CASE("protocol-timeout stays longer than db-timeout", "[config]")
{
    ConfigHost host;
    struct Case {
        Words options;
        std::int64_t database;
        std::int64_t protocol;
    };
    const auto& [options, database, protocol] =
        GENERATE(Case{{}, 1800000, 1860000},
                 Case{{"--db-timeout=10m"}, 600000, 1860000},
                 Case{{"--db-timeout=1h"}, 3600000, 3630000},
                 Case{{"--protocol-timeout=2h"}, 1800000, 7200000},
                 Case{{"--protocol-timeout=10m"}, 570000, 600000},
                 Case{{"--protocol-timeout=40s"}, 20000, 40000},
                 Case{{"--db-timeout=1s", "--protocol-timeout=2s"}, 1000, 2000});

    const config::Config config = host.load(backup_with(options));

    CHECK(config.number("db-timeout") == database);
    CHECK(config.number("protocol-timeout") == protocol);
}

TEST_CASE("both timeouts set the wrong way are refused", "[config]")
{
    ConfigHost host;
    const std::string protocol = GENERATE("10m", "9m");

    const Error error =
        host.fail(backup_with({"--db-timeout=10m", "--protocol-timeout=" + protocol}));

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("'protocol-timeout'") && Contains("'db-timeout'"));
}

TEST_CASE("two repositories with one path are refused", "[config]")
{
    ConfigHost host;
    const Words options = GENERATE(Words{"--repo1-path=/r", "--repo2-path=/r/"},
                                   Words{"--repo2-path=/r", "--repo5-path=/r", "--repo5-type=cifs"},
                                   Words{"--repo1-type=posix", "--repo2-type=posix"});
    Words arguments = options;
    arguments.insert(arguments.begin(), "info");

    const Error error = host.fail(arguments);

    CHECK(error.code() == ErrorCode::option_invalid_value);
    CHECK_THAT(error.what(), Contains("same path"));
}

TEST_CASE("repositories in buckets are told apart by endpoint, bucket and path", "[config][s3]")
{
    ConfigHost host;
    const auto load = [&](const std::string& second) {
        host.write_config(
            "[global]\nrepo1-type=s3\nrepo1-path=/r\nrepo1-s3-bucket=b\n"
            "repo1-s3-endpoint=e\nrepo1-s3-region=x\nrepo1-s3-key-type=auto\n"
            "repo2-type=s3\nrepo2-path=/r\nrepo2-s3-region=x\nrepo2-s3-key-type=auto\n" +
            second);
    };

    load("repo2-s3-bucket=b\nrepo2-s3-endpoint=e\n");
    CHECK_THAT(host.fail({"info"}).what(), Contains("same path 's3://e/b/r'"));
    load("repo2-s3-bucket=c\nrepo2-s3-endpoint=e\n");
    CHECK_NOTHROW(host.load({"info"}));
    load("repo2-s3-bucket=b\nrepo2-s3-endpoint=f\nrepo3-path=/r\n");
    CHECK_NOTHROW(host.load({"info"}));
}

TEST_CASE("a bucket with a dot does not go with certificates of hosts", "[config][s3][bug-44]")
{
    ConfigHost host;
    const auto load = [&](const std::string& more) {
        host.write_config("[global]\nrepo1-type=s3\nrepo1-s3-bucket=a.b\nrepo1-s3-endpoint=e\n"
                          "repo1-s3-region=x\nrepo1-s3-key-type=auto\n" +
                          more);
    };

    load("");
    CHECK(host.fail({"info"}).code() == ErrorCode::option_invalid_value);
    CHECK_THAT(host.fail({"info"}).hint(), Contains("repo1-s3-uri-style"));
    load("repo1-s3-uri-style=path\n");
    CHECK_NOTHROW(host.load({"info"}));
    load("repo1-storage-verify-tls=n\n");
    CHECK_NOTHROW(host.load({"info"}));
}

TEST_CASE("several repositories with paths of their own are accepted", "[config]")
{
    ConfigHost host;

    CHECK(host.load({"info", "--repo1-path=/a", "--repo2-path=/b"}).repo_indexes().size() == 2);
}

TEST_CASE("compress-type beats compress", "[config]")
{
    ConfigHost host;
    struct Case {
        Words options;
        std::string type;
        bool warns;
    };
    const auto& [options, type, warns] =
        GENERATE(Case{{}, "zst", false},
                 Case{{"--no-compress"}, "none", false},
                 Case{{"--compress=n"}, "none", false},
                 Case{{"--compress"}, "zst", false},
                 Case{{"--reset-compress"}, "zst", false},
                 Case{{"--no-compress", "--compress-type=zst"}, "zst", true},
                 Case{{"--compress", "--compress-type=none"}, "none", true});

    const config::Config config = host.load(backup_with(options));

    CHECK(config.text("compress-type") == type);
    CHECK(config.number("compress-level") == (type == "none" ? 0 : 1));
    CHECK(any_contains(config.warnings(), "'compress-type'") == warns);
}

TEST_CASE("a compress-level without compression is refused on the command line", "[config]")
{
    ConfigHost host;

    CHECK(host.fail(backup_with({"--no-compress", "--compress-level=3"})).code() ==
          ErrorCode::option_invalid);
}

TEST_CASE("other algorithms are replaced by zst at its default level, with one note", "[config]")
{
    ConfigHost host;
    const std::string type = GENERATE("gz", "lz4", "bz2");

    const config::Config config =
        host.load(backup_with({"--compress-type=" + type, "--compress-level=9"}));

    CHECK(config.text("compress-type") == "zst");
    CHECK(config.number("compress-level") == 1);
    REQUIRE(config.notes().size() == 1);
    CHECK_THAT(config.notes().front(), Contains("'compress-type' " + type) && Contains("zst"));
}

TEST_CASE("backup warns about every repository without retention", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load({"backup",
                                             "--stanza=m",
                                             "--pg1-path=/pg",
                                             "--repo1-path=/a",
                                             "--repo2-path=/b",
                                             "--repo2-retention-full=1",
                                             "--repo3-path=/c",
                                             "--repo4-path=/d",
                                             "--repo4-retention-keep=daily=7"});

    CHECK(any_contains(config.warnings(), "'repo1-retention-full' is not set"));
    CHECK(any_contains(config.warnings(), "'repo3-retention-full' is not set"));
    CHECK_FALSE(any_contains(config.warnings(), "repo2-retention-full"));
    CHECK_FALSE(any_contains(config.warnings(), "repo4-retention-full"));
    CHECK(host.load({"info"}).warnings().empty());
}

TEST_CASE("the retention of WAL follows that of backups", "[config]")
{
    ConfigHost host;
    struct Case {
        Words options;
        std::int64_t archive;
        bool warns;
    };
    const auto& [options, archive, warns] = GENERATE(
        Case{{}, 2, false},
        Case{{"--repo1-retention-archive=5"}, 5, false},
        Case{{"--repo1-retention-full-type=time"}, 0, false},
        Case{{"--repo1-retention-archive-type=diff", "--repo1-retention-diff=7"}, 7, false},
        Case{{"--repo1-retention-archive-type=diff"}, 0, true},
        Case{{"--repo1-retention-archive-type=incr"}, 0, true},
        Case{{"--repo1-retention-archive-type=incr", "--repo1-retention-archive=4"}, 4, false});

    const config::Config config = host.load(backup_with(options));

    CHECK(config.number("repo-retention-archive", 1) == archive);
    CHECK(config.has("repo-retention-archive", 1) == (archive != 0));
    CHECK(any_contains(config.warnings(), "WAL will not expire") == warns);
}

TEST_CASE("stop-auto only warns", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load(backup_with({"--stop-auto"}));

    CHECK(any_contains(config.warnings(), "'stop-auto' is obsolete"));
    CHECK(config.notes().empty());
}

TEST_CASE("an encrypted repository needs one of three ways to its passphrase", "[config]")
{
    ConfigHost host;
    const std::string cipher = GENERATE("aes-256-gcm", "aes-256-cbc");
    const std::string type = "--repo1-cipher-type=" + cipher;

    const Error error = host.fail({"info", type});

    CHECK(error.code() == ErrorCode::option_required);
    CHECK(std::string(error.what()) == "info command requires option: repo1-cipher-pass");
    CHECK_THAT(error.hint(), Contains("repo1-cipher-pass-file"));
    CHECK_NOTHROW(host.load({"info", type, "--repo1-cipher-pass-file=/not/read"}));
    CHECK_NOTHROW(host.load({"info", type, "--repo1-cipher-pass-command=exit 1"}));
    host.environment.variables = {{"PGSTRATA_REPO1_CIPHER_PASS", "x"}};
    CHECK(host.load({"info", type}).text("repo-cipher-pass", 1) == "x");
}

TEST_CASE("the name of a stanza cannot leave its directory or be a section of its own", "[config]")
{
    ConfigHost host;
    const std::string name = GENERATE(
        "../x", "a/b", ".", ".hidden", "global", "main:backup", "a b", "[x]", "a=b", "a\nb");

    CHECK(host.fail({"info", "--stanza=" + name}).code() == ErrorCode::option_invalid_value);
}

} // namespace pgstrata::test
