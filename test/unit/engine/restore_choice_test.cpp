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
