// SPDX-License-Identifier: PostgreSQL
#include "support/chain.hpp"

#include <catch2/catch.hpp>

#include <signal.h>

#include <filesystem>

// Backups that a standby is the source of.

using namespace pgstrata::test;
using Catch::Contains;
using Strings = std::vector<std::string>;

namespace {

namespace fs = std::filesystem;

// A chain on a primary with one standby that streams from it.
class Replicated : public Chain {
public:
    explicit Replicated(SiteOptions options = {})
        : Chain(std::move(options)), standby_(add_standby("standby"))
    {
        standby_.start();
        cluster().sql("CREATE TABLE ledger AS SELECT i AS id, md5(i::text) AS text FROM "
                      "generate_series(1, 100000) AS i");
    }

    // Not started.
    Cluster add_standby(const std::string& name)
    {
        const auto target = site().new_path(name);
        const auto result = cluster().run_client(
            "pg_basebackup", {"-D", target, "-R", "-X", "stream", "-c", "fast", "-U", "postgres"});
        if (result.status != 0) {
            throw std::runtime_error("pg_basebackup: " + result.text());
        }
        return {cluster().major(), target, Cluster::Archiving::as_configured};
    }
    Cluster& standby() { return standby_; }
    void catch_up()
    {
        const auto wanted = cluster().sql("SELECT pg_current_wal_flush_lsn()");
        wait_until("the standby to catch up", [&] {
            return standby_.sql("SELECT pg_last_wal_replay_lsn() >= '" + wanted + "'") == "t";
        });
    }
    void change(const std::string& what)
    {
        cluster().sql("UPDATE ledger SET text = '" + what + "' WHERE id % 100 = 0");
        catch_up();
    }

    // The options that name the standby as the server of that index.
    Strings as_server(unsigned index, Strings arguments) const
    {
        const std::string pg = "--pg" + std::to_string(index);
        arguments.insert(arguments.end(),
                         {pg + "-path=" + standby_.data_directory(),
                          pg + "-socket-path=" + standby_.socket_directory(),
                          pg + "-port=" + std::to_string(standby_.port())});
        return arguments;
    }
    Strings beside_primary(Strings arguments) const { return as_server(2, std::move(arguments)); }
    Strings alone(Strings arguments) const { return as_server(1, std::move(arguments)); }

    void check_newest_is_the_primary()
    {
        const auto rows = fingerprint(cluster());
        auto restored = restore();
        restored.start();
        restored.wait_until_promoted();
        CHECK(fingerprint(restored) == rows);
        restored.stop();
        CHECK(restored.verify_checksums());
    }

private:
    Cluster standby_;
};

// One that takes long.
const Strings kSlowBackup = {"backup",
                             "--repo=1",
                             "--type=full",
                             "--compress-type=zst",
                             "--compress-level=13",
                             "--process-max=1",
                             "--repo1-pack-size=1MiB",
                             "--log-level-console=info",
                             "--backup-standby=prefer"};

// Stops the process in the midst of copying.
void stop_while_copying(Replicated& pair, BackgroundProcess& backup)
{
    wait_until("a finished pack", [&] {
        if (!backup.is_running()) {
            throw std::runtime_error("the backup ended too early: " + backup.wait().text());
        }
        return !pair.site().objects("/journal/").empty();
    });
    backup.signal(SIGSTOP);
}

} // namespace

TEST_CASE("the standby is copied when there is one, and what comes back is the primary",
          "[standby][backup][incremental][bug-7]")
{
    Replicated pair;
    const auto full = pair.backup(pair.beside_primary({"--type=full", "--backup-standby=y"}));
    CAPTURE(full.text());
    REQUIRE(full.status == 0);
    CHECK_THAT(full.text(), Contains("the backup is taken from the standby pg2"));
    CHECK_THAT(full.text(), Contains("wait for replay on the standby"));
    pair.check_newest_is_the_primary();

    pair.change("from the standby");
    const auto incr = pair.backup(pair.beside_primary({"--type=incr", "--backup-standby=prefer"}));
    CAPTURE(incr.text());
    REQUIRE(incr.status == 0);
    CHECK_THAT(incr.text(), Contains("the backup is taken from the standby pg2"));
    pair.check_newest_is_the_primary();

    // The servers take turns in a chain.
    pair.change("from the primary");
    pair.take({"--type=incr"});
    pair.check_newest_is_the_primary();
}

TEST_CASE("a standby is enough when its primary cannot be asked, and is out of reach",
          "[standby][backup]")
{
    Replicated pair;
    pair.take({"--type=full"});
    pair.change("before the end");
    const auto rows = fingerprint(pair.cluster());
    pair.catch_up();
    pair.cluster().kill();

    const auto result =
        pair.backup(pair.alone({"--type=incr", "--backup-standby=y", "--archive-timeout=5s"}));

    CAPTURE(result.text());
    REQUIRE(result.status == 0);
    CHECK_THAT(result.text(), Contains("whose primary is not asked"));
    // Nobody archives the segment in which the backup ends, so it is in the backup.
    CHECK_THAT(result.text(), Contains("is not in the archive yet: it is taken from the standby"));
    auto restored = pair.restore();
    restored.start();
    restored.wait_until_promoted();
    CHECK(fingerprint(restored) == rows);
}

TEST_CASE("without a standby one that is demanded is an error, and one that is preferred is not",
          "[standby][backup]")
{
    Chain chain;
    const auto demanded = chain.backup({"--type=full", "--backup-standby=y"});
    CHECK(demanded.status == 56);
    CHECK_THAT(demanded.text(), Contains("standby"));
    const auto preferred = chain.backup({"--type=full", "--backup-standby=prefer"});
    CHECK(preferred.status == 0);
    CHECK_THAT(preferred.text(), Contains("there is no standby"));
}

TEST_CASE("a standby that is promoted while it is copied gives no backup",
          "[standby][backup][bug-16]")
{
    Replicated pair;
    pair.take({"--type=full"});
    const auto before = pair.site().labels();
    const bool is_alone = GENERATE(true, false);
    CAPTURE(is_alone);
    auto backup =
        pair.site().start(is_alone ? pair.alone(kSlowBackup) : pair.beside_primary(kSlowBackup));
    stop_while_copying(pair, backup);
    pair.standby().sql("SELECT pg_promote()");
    pair.standby().wait_until_promoted();
    backup.signal(SIGCONT);

    const auto result = backup.wait();

    CAPTURE(result.text());
    CHECK(result.status == 58);
    CHECK_THAT(result.text(), Contains("the standby was promoted while it was backed up"));
    CHECK(pair.site().labels() == before);
}

TEST_CASE("a standby that follows another timeline while it is copied gives no backup",
          "[standby][backup][bug-16]")
{
    Replicated pair;
    pair.take({"--type=full"});
    const auto before = pair.site().labels();
    // The standby that is copied streams from another one, which is promoted.
    auto middle = pair.add_standby("middle");
    middle.start();
    pair.standby().sql("ALTER SYSTEM SET primary_conninfo = 'user=postgres host=" +
                       middle.socket_directory() + " port=" + std::to_string(middle.port()) + "'");
    pair.standby().sql("SELECT pg_reload_conf()");
    auto backup = pair.site().start(pair.alone(kSlowBackup));
    stop_while_copying(pair, backup);
    middle.sql("SELECT pg_promote()");
    middle.wait_until_promoted();
    middle.sql("CHECKPOINT");
    wait_until("the standby to follow", [&] {
        pair.standby().sql("CHECKPOINT");
        return pair.standby().sql("SELECT min_recovery_end_timeline FROM pg_control_recovery()") ==
               "2";
    });
    backup.signal(SIGCONT);

    const auto result = backup.wait();

    CAPTURE(result.text());
    CHECK(result.status == 58);
    CHECK_THAT(result.text(), Contains("began on timeline 1 and the standby is on 2"));
    CHECK(pair.site().labels() == before);
}
