// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restorable.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::kRestoreStanza;
using pgstrata::test::Restorable;
using repository::RecoveryType;

namespace {

// The backup is of the generation before the last upgrade; newer ones may have a backup too.
struct UpgradedCluster : Restorable {
    UpgradedCluster()
    {
        store_all();
        upgrade(*repository);
    }

    static void upgrade(const repository::Repository& where)
    {
        repository::Cluster newer;
        newer.id = {15, 2};
        newer.system_identifier = 7000000000000000002U;
        newer.page_size = 8192;
        newer.wal_segment_size = 1U << 20U;
        repository::write_cluster(where, kRestoreStanza, newer);
    }

    // It ends after what the WAL of the old cluster has.
    void add_newer_backup() const
    {
        repository::BackupSummary newer = summary();
        newer.label = "20991231-000000F";
        newer.archive_id = {15, 2};
        newer.stop_time = kLastCommit / 1000000 + 100;
        newer.stop_lsn = postgres::Lsn{0x900100};
        repository::write_summary(*repository, kRestoreStanza, newer);
    }

    void aim_at_old_cluster()
    {
        if (GENERATE(true, false)) {
            set_target(RecoveryType::time, "then");
            options.target.time = kLastCommit - 1;
        } else {
            set_target(RecoveryType::lsn, "0/3FFFF0");
            options.target.lsn = postgres::Lsn{0x3FFFF0};
        }
    }
};

} // namespace

TEST_CASE_METHOD(UpgradedCluster,
                 "a moment before an upgrade is restored from the cluster of that time",
                 "[restore][bug-40]")
{
    aim_at_old_cluster();
    if (GENERATE(true, false)) {
        add_newer_backup();
    }
    const RestorePlan planned = plan();
    CHECK(planned.backup.label == manifest.header.label);
    CHECK(planned.cluster.id == manifest.header.archive_id);
}

TEST_CASE_METHOD(UpgradedCluster,
                 "the timelines of a cluster decide over its own backups only",
                 "[restore][bug-21][bug-40]")
{
    add_newer_backup();
    aim_at_old_cluster();
    test::archive_file(
        *repository, {15, 2}, "00000002.history", as_bytes("1\t0/800000\tof the new cluster\n"));
    CHECK(plan().recovery.settings.target_timeline == "1");
    options.target.follow = repository::RecoveryTarget::Follow::number;
    options.target.timeline = 2;
    CHECK_THROWS_MATCHES(plan(), Error, HasCode(ErrorCode::db_mismatch));
}

TEST_CASE_METHOD(UpgradedCluster,
                 "a repository without a backup since the upgrade is passed over for the next",
                 "[restore]")
{
    const auto elsewhere = storage::make_memory_storage();
    const auto other = repository::Repository::open_or_create(*elsewhere, {});
    upgrade(*other);
    repository::BackupSummary old = summary();
    old.label = "20200101-000000F";
    repository::write_summary(*other, kRestoreStanza, old);
    add_newer_backup();

    // The newer backup has no manifest: that it is looked for shows what was chosen.
    CHECK_THROWS_WITH(plan({{1, other.get()}, {2, repository.get()}}),
                      Catch::Contains("20991231-000000F"));
    CHECK_THROWS_MATCHES(
        plan({{1, other.get()}, {2, other.get()}}), Error, HasCode(ErrorCode::backup_set_invalid));
}

namespace {

// The backup is in one repository. The cluster has archived to another one too, which knows it as
// the second of its generations.
struct TwoArchives : Restorable {
    static constexpr repository::ArchiveId kOtherId{15, 2};

    TwoArchives()
    {
        repository::Cluster cluster;
        cluster.id = kOtherId;
        cluster.system_identifier = manifest.header.system_identifier;
        cluster.page_size = manifest.header.page_size;
        cluster.wal_segment_size = manifest.header.wal_segment_size;
        repository::write_cluster(*other, kRestoreStanza, cluster);
    }

    RestorePlan plan_from_both() const { return plan({{1, repository.get()}, {2, other.get()}}); }

    std::unique_ptr<storage::Storage> elsewhere = storage::make_memory_storage();
    std::unique_ptr<repository::Repository> other =
        repository::Repository::open_or_create(*elsewhere, {});
};

} // namespace

TEST_CASE_METHOD(TwoArchives,
                 "recovery is checked against the WAL of all repositories",
                 "[restore][bug-20][bug-40]")
{
    SECTION("that makes the backup consistent")
    {
        store_files();
        commit();
        CHECK_THROWS_MATCHES(plan_from_both(), Error, HasCode(ErrorCode::file_missing));
        archive_wal(*other, kOtherId);
        CHECK(plan_from_both().recovery.has_backup_wal);
    }
    SECTION("that reaches a time")
    {
        store_files();
        commit();
        archive_wal(*other, kOtherId);
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit - 1;
        CHECK(plan_from_both().recovery.newest_commit->time == kLastCommit);
    }
    SECTION("that reaches an lsn")
    {
        store_all();
        set_target(RecoveryType::lsn, "0/4000F0");
        options.target.lsn = postgres::Lsn{0x4000F0};
        CHECK_THROWS_MATCHES(plan_from_both(), Error, HasCode(ErrorCode::backup_set_invalid));
        test::archive_file(*other, kOtherId, "000000010000000000000004", as_bytes("any"));
        CHECK(plan_from_both().recovery.window->segments.size() == 2);
    }
}

TEST_CASE_METHOD(TwoArchives,
                 "the timelines of all repositories can be followed",
                 "[restore][bug-21]")
{
    store_all();
    const std::string_view history = "1\t0/400000\tno reason\n";
    test::archive_file(*other, kOtherId, "00000002.history", as_bytes(history));
    CHECK(plan_from_both().recovery.settings.target_timeline == "2");
    SECTION("also those that are damaged in another one")
    {
        const std::string path = test::archive_file(
            *repository, manifest.header.archive_id, "00000002.history", as_bytes(history));
        replace_object(path, as_bytes("1\t0/500000\tno reason\n"));
        CHECK(plan_from_both().recovery.settings.target_timeline == "2");
    }
}

TEST_CASE_METHOD(TwoArchives,
                 "WAL of another cluster under the same stanza does not count",
                 "[restore][bug-20]")
{
    store_files();
    commit();
    repository::Cluster stranger;
    stranger.id = {15, 3};
    stranger.system_identifier = 7000000000000000002U;
    stranger.page_size = manifest.header.page_size;
    stranger.wal_segment_size = manifest.header.wal_segment_size;
    repository::write_cluster(*other, kRestoreStanza, stranger);
    archive_wal(*other, stranger.id);
    CHECK_THROWS_MATCHES(plan_from_both(), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE_METHOD(TwoArchives,
                 "a repository that breaks does not keep a restore from the WAL of the others",
                 "[restore]")
{
    store_all();
    storage::FaultPlan faults;
    const auto failing = storage::make_failing_storage(*elsewhere, faults);
    const auto broken = repository::Repository::open(*failing, {});
    faults.count = 0;
    plan({{1, repository.get()}, {2, broken.get()}});
    const std::uint64_t calls = faults.count;
    faults.stay_broken = true;
    for (faults.fail_at = 1; faults.fail_at <= calls; ++faults.fail_at) {
        faults.count = 0;
        CHECK(plan({{1, repository.get()}, {2, broken.get()}}).recovery.has_backup_wal);
    }
}
