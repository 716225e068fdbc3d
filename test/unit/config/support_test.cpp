// SPDX-License-Identifier: PostgreSQL
#include "unit/config/fixture.hpp"

namespace pgstrata::test {

using Catch::Contains;

TEST_CASE("options of what is not built are refused by name from every source", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string name;
        std::string value;
    };
    const auto& [name, value] = GENERATE(Case{"pg2-host", "db2"},
                                         Case{"repo1-host", "repo"},
                                         Case{"repo1-type", "azure"},
                                         Case{"repo1-type", "gcs"},
                                         Case{"repo1-type", "sftp"},
                                         Case{"pg-version-force", "15"});
    Error error = host.fail(backup_with({"--" + name + "=" + value, "--pg2-path=/two"}));
    CHECK(error.code() == ErrorCode::feature_not_supported);
    CHECK_THAT(error.what(), Contains("'" + name + "'") && Contains("'" + value + "'"));

    host.write_config("[main]\npg2-path=/two\n" + name + "=" + value + "\n");
    error = host.fail(backup_with({}));
    CHECK(error.code() == ErrorCode::feature_not_supported);
    CHECK_THAT(error.what(), Contains("pgstrata.conf line 3"));
}

TEST_CASE("a point in time of the store is refused", "[config]")
{
    ConfigHost host;

    CHECK(host.fail({"info", "--repo=1", "--repo-target-time=2026-01-01 00:00:00"}).code() ==
          ErrorCode::feature_not_supported);
}

TEST_CASE("asynchronous archiving has its options without a note", "[config]")
{
    ConfigHost host;

    const config::Config push = host.load({"archive-push",
                                           "--stanza=m",
                                           "w",
                                           "--archive-async",
                                           "--archive-push-queue-max=1GB",
                                           "--archive-push-batch-size=1GB"});
    CHECK(push.flag("archive-async"));
    CHECK(push.text("spool-path") == "/var/spool/pgstrata");
    CHECK(push.number("archive-push-queue-max") == 1 << 30);
    CHECK(push.notes().empty());
    const config::Config get = host.load({"archive-get",
                                          "--stanza=m",
                                          "--pg1-path=/pg",
                                          "w",
                                          "d",
                                          "--archive-async",
                                          "--no-archive-missing-retry",
                                          "--archive-get-queue-max=1GB"});
    CHECK_FALSE(get.flag("archive-missing-retry"));
    CHECK(get.notes().empty());
}

TEST_CASE("the default of a refused option is accepted", "[config]")
{
    ConfigHost host;

    CHECK_NOTHROW(host.load({"archive-push", "--stanza=m", "w", "--no-archive-async"}));
    CHECK_NOTHROW(host.load(backup_with({"--no-backup-standby", "--repo1-type=posix"})));
    CHECK_NOTHROW(host.load(backup_with({"--repo1-type=cifs"})));
}

TEST_CASE("bare backup-standby means y", "[config]")
{
    ConfigHost host;

    CHECK(host.load(backup_with({"--backup-standby"})).text("backup-standby") == "y");
}

TEST_CASE("options of another repository type count only with that type", "[config]")
{
    ConfigHost host;
    host.write_config("[global]\nrepo1-s3-bucket=b\nrepo1-azure-account=a\nrepo1-storage-port=99\n"
                      "repo1-gcs-user-project=p\nrepo1-host-user=u\n");

    const config::Config config = host.load({"info"});

    CHECK(config.notes().empty());
    CHECK_FALSE(config.has("repo-s3-bucket", 1));

    host.write_config("[global]\nrepo1-type=gcs\nrepo1-gcs-bucket=b\n");
    CHECK_THAT(host.fail({"info"}).what(), Contains("'repo1-type' set to 'gcs'"));
    CHECK_THAT(host.fail({"info"}).hint(), Contains("cifs") && Contains("s3"));
}

TEST_CASE("options that only tune are noted once when they are not at their default", "[config]")
{
    ConfigHost host;
    struct Case {
        std::string option;
        std::string noted;
    };
    const auto& [option, noted] =
        GENERATE(Case{"buffer-size=2MiB", "buffer-size"},
                 Case{"compress-level-network=2", "compress-level-network"},
                 Case{"manifest-save-threshold=2GiB", "manifest-save-threshold"},
                 Case{"repo1-bundle=n", "repo1-bundle"},
                 Case{"repo1-block=n", "repo1-block"},
                 Case{"repo1-bundle-size=1GiB", "repo1-bundle-size"},
                 Case{"repo1-block-size-map=a=b", "repo1-block-size-map"},
                 Case{"repo1-hardlink=y", "repo1-hardlink"},
                 Case{"sck-block=y", "sck-block"},
                 Case{"protocol-timeout=40m", "protocol-timeout"},
                 Case{"job-retry=3", "job-retry"});

    const config::Config config = host.load(backup_with({"--" + option}));

    CHECK(config.notes() == Words{"option '" + noted + "' is accepted and has no effect"});
    CHECK(config.warnings().empty());
}

TEST_CASE("options at their default are not noted, however they are written", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load(backup_with({"--buffer-size=1024k",
                                                         "--repo1-bundle",
                                                         "--repo1-block=y",
                                                         "--protocol-timeout=1860",
                                                         "--compress-type=zst"}));

    CHECK(config.notes().empty());
}

TEST_CASE("retention and expire-auto are accepted without a word", "[config]")
{
    ConfigHost host;

    const config::Config config = host.load(backup_with({"--expire-auto",
                                                         "--repo1-retention-diff=3",
                                                         "--repo1-retention-history=30",
                                                         "--repo1-retention-full-type=time",
                                                         "--priority=5"}));

    CHECK(config.notes().empty());
    CHECK(config.warnings().empty());
    CHECK(config.number("priority") == 5);
}

} // namespace pgstrata::test
