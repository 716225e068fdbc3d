// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

namespace {

// A cluster with a full backup made under load. Marker 1 is older than the backup, marker 2 is what
// the targets aim at, marker 3 is newer than they are; all WAL is archived.
class History {
public:
    History(unsigned major, const std::string& cipher)
        : site_({.cluster = {.major = major}, .cipher = cipher, .secret = kPassphrase})
    {
        auto& cluster = site_.cluster();
        site_.must({"check"});
        cluster.load_pgbench(1);
        cluster.sql("CREATE TABLE marker (id int); INSERT INTO marker VALUES (1)");

        auto load = cluster.start_pgbench(3);
        site_.backup();
        load.wait();

        cluster.sql(
            "SELECT pg_sleep(1.1)"); // the backup's last second is not a target that all accept
        xid_ = cluster.sql("INSERT INTO marker VALUES (2) RETURNING pg_current_xact_id()");
        lsn_ = cluster.sql("SELECT pg_current_wal_lsn()");
        time_ = cluster.sql("SELECT clock_timestamp()");
        cluster.sql("SELECT pg_create_restore_point('after two')");
        cluster.sql("SELECT pg_sleep(0.2)");
        cluster.sql("INSERT INTO marker VALUES (3)");
        cluster.archive_current_segment();
    }

    Site& site() { return site_; }
    const std::string& xid() const { return xid_; }
    const std::string& lsn() const { return lsn_; }
    const std::string& time() const { return time_; }

private:
    Site site_;
    std::string xid_;
    std::string lsn_;
    std::string time_;
};

std::string markers(const Cluster& cluster)
{
    return cluster.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM marker");
}

// pgbench moves money between its tables in one transaction: their sums agree in every consistent
// state.
bool is_balanced(const Cluster& cluster)
{
    return cluster.sql(
               "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM "
               "pgbench_branches) AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT "
               "sum(delta) FROM pgbench_history)") == "t";
}

bool has_signal(const Cluster& cluster, const std::string& name)
{
    return std::filesystem::exists(cluster.path(name + ".signal"));
}

void check_restored(Cluster& cluster, const std::string& rows)
{
    cluster.start();
    cluster.wait_until_promoted();

    CHECK(markers(cluster) == rows);
    CHECK(is_balanced(cluster));
    if (cluster.major() == 15) {
        CHECK(cluster.verify_structures());
        cluster.stop();
        CHECK(cluster.verify_checksums());
    }
}

struct Target {
    std::string type;
    std::string target;
    std::string rows;
};

void check_targets(History& history, const std::vector<Target>& targets)
{
    for (const auto& [type, target, rows] : targets) {
        CAPTURE(type, target);
        std::vector<std::string> arguments{"--type=" + type};
        if (!target.empty()) {
            arguments.push_back("--target=" + target);
        }
        if (type != "default") {
            arguments.emplace_back("--target-action=promote");
        }

        auto restored = history.site().restore(arguments);

        CHECK(has_signal(restored, "recovery"));
        check_restored(restored, rows);
    }
}

void check_standby(History& history)
{
    auto standby = history.site().restore({"--type=standby"});
    CHECK(has_signal(standby, "standby"));
    CHECK_FALSE(has_signal(standby, "recovery"));

    standby.start();
    wait_until("the standby's replay of all WAL", [&] { return markers(standby) == "1,2,3"; });

    CHECK(standby.sql("SELECT pg_is_in_recovery()") == "t");
}

void check_preserve(History& history)
{
    auto restored = history.site().restore({"--type=preserve"});
    CHECK_FALSE(has_signal(restored, "recovery"));
    CHECK_FALSE(has_signal(restored, "standby"));
    const auto settings = read_file(restored.path("postgresql.auto.conf"));
    CHECK(settings == read_file(history.site().cluster().path("postgresql.auto.conf")));

    write_file(restored.path("recovery.signal"), "");
    write_file(restored.path("postgresql.auto.conf"),
               settings + "restore_command = '" + program_under_test() +
                   " --config=" + history.site().configuration() + " --stanza=main --pg1-path=" +
                   restored.data_directory() + " archive-get %f \"%p\"'\n");
    check_restored(restored, "1,2,3");
}

void check_none(History& history)
{
    auto restored = history.site().restore({"--type=none"});

    CHECK_FALSE(has_signal(restored, "recovery"));
    CHECK_FALSE(has_signal(restored, "standby"));
    const auto settings = restored.path("postgresql.auto.conf");
    CHECK((!std::filesystem::exists(settings) ||
           read_file(settings).find("\nrestore_command") == std::string::npos));
    CHECK_FALSE(restored.try_start()); // its WAL is in the archive only
}

} // namespace

TEST_CASE("a cluster of each version can be restored to each kind of target", "[main-path][bug-39]")
{
    const auto major = GENERATE(from_range(test_majors()));
    CAPTURE(major);
    History history(major, "");

    check_targets(history,
                  {{"default", "", "1,2,3"},
                   {"immediate", "", "1"},
                   {"lsn", history.lsn(), "1,2"},
                   {"name", "after two", "1,2"},
                   {"time", history.time(), "1,2"},
                   {"xid", history.xid(), "1,2"}});
    check_standby(history);
    check_preserve(history);
    check_none(history);
}

// No cipher depends on the version.
TEST_CASE("an encrypted backup can be restored to a time", "[main-path]")
{
    const auto* cipher = GENERATE("aes-256-gcm", "aes-256-cbc");
    CAPTURE(cipher);
    History history(15, cipher);

    check_targets(history, {{"default", "", "1,2,3"}, {"time", history.time(), "1,2"}});
}

TEST_CASE("with target-exclusive the transaction aimed at is left out", "[main-path][bug-39]")
{
    History history(15, "");

    auto restored = history.site().restore({"--type=xid",
                                            "--target=" + history.xid(),
                                            "--target-exclusive",
                                            "--target-action=promote"});

    check_restored(restored, "1");
}
