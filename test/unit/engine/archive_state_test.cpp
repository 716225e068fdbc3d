// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/copied_backup.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/postgres/wal_builder.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/archive_state.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using postgres::Lsn;
using repository::ArchiveId;

namespace {

constexpr std::int64_t kServerEpoch = 946684800; // 2000-01-01 in Unix time
constexpr UnixSeconds kStop = kServerEpoch + 1000;

struct StateFixture {
    StateFixture()
    {
        cluster.id = kArchiveId;
        cluster.wal_segment_size = WalBuilder::kSegmentSize;
    }

    // Of segment `first` to `last`, which ended at `stop`.
    void add_backup(std::uint64_t first, std::uint64_t last, UnixSeconds stop)
    {
        repository::BackupSummary backup;
        backup.label = "backup " + std::to_string(stop);
        backup.archive_id = kArchiveId;
        backup.timeline = 1;
        backup.start_lsn = Lsn{first * WalBuilder::kSegmentSize + 0x28};
        backup.stop_lsn = Lsn{last * WalBuilder::kSegmentSize + 0x100};
        backup.stop_time = stop;
        backups.push_back(backup);
    }

    // A segment with a commit so many seconds after 2000, or with none.
    void archive(std::uint64_t number, std::optional<std::int64_t> commit = std::nullopt) const
    {
        WalBuilder builder;
        if (commit) {
            std::vector<std::byte> data(8);
            store(data.data(), *commit * 1000000 + 500000);
            builder.append(1, 0, data);
        } else {
            builder.append_text("nothing of interest");
        }
        REQUIRE(number == WalBuilder::kFirstSegment);
        archive_file(*repository, kArchiveId, name_of(number), builder.segment(0));
    }
    void archive_name(std::uint64_t number) const
    {
        archive_file(*repository, kArchiveId, name_of(number), as_bytes("any"));
    }

    static std::string name_of(std::uint64_t number)
    {
        return postgres::to_string({1, number}, WalBuilder::kSegmentSize);
    }

    ArchiveState read() const
    {
        return read_archive_state(*repository, kRestoreStanza, cluster, backups);
    }

    WarningLog log;
    std::unique_ptr<storage::Storage> storage = storage::make_memory_storage();
    std::unique_ptr<repository::Repository> repository =
        repository::Repository::open_or_create(*storage, {});
    repository::Cluster cluster;
    std::vector<repository::BackupSummary> backups;
};

} // namespace

TEST_CASE_METHOD(StateFixture,
                 "where segments note nothing they are read for the last transaction",
                 "[archive_state]")
{
    add_backup(3, 3, kStop);
    archive(3, 2000);
    CHECK(read().window.value().stretches.at(0).stop == kServerEpoch + 2000);
}

TEST_CASE_METHOD(StateFixture,
                 "the end is that of the backup when nothing ended after it",
                 "[archive_state]")
{
    add_backup(3, 3, kStop);
    const auto commit = GENERATE(std::optional<std::int64_t>(), std::optional<std::int64_t>(900));
    archive(3, commit);
    CHECK(read().window.value().stretches.at(0).stop == kStop);
}

TEST_CASE_METHOD(StateFixture,
                 "the end is not known when too many segments hold no transaction",
                 "[archive_state]")
{
    add_backup(3, 3, kStop);
    archive(3, 2000);
    for (std::uint64_t number = 4; number < 9; ++number) {
        archive_name(number);
    }
    const ArchiveState state = read();

    CHECK(state.wal.first == name_of(3));
    CHECK(state.wal.last == name_of(8));
    CHECK_FALSE(state.window.value().stretches.at(0).stop);
}

TEST_CASE_METHOD(StateFixture,
                 "a backup that lacks WAL has no place in the window but is told of",
                 "[archive_state][bug-20]")
{
    add_backup(3, 5, kStop);
    archive(3);
    archive_name(5);
    repository::BackupSummary other;
    other.archive_id = {14, 1};
    backups.push_back(other);

    const ArchiveState state = read();

    CHECK(state.window.value().stretches.empty());
    REQUIRE(state.coverage.backups.size() == 1); // of this archive only
    REQUIRE(state.coverage.backups[0].missing.size() == 1);
    CHECK(state.coverage.backups[0].missing[0].first == name_of(4));
}

TEST_CASE_METHOD(StateFixture,
                 "a history that cannot be used is told of, and hides nothing of the others",
                 "[archive_state]")
{
    add_backup(3, 3, kStop);
    add_backup(4, 5, kStop + 1);
    archive(3, 2000);
    archive_file(*repository, kArchiveId, "00000002.history", as_bytes("1\t0/5000000\ta\n"));
    archive_file(*repository, kArchiveId, "00000002.history", as_bytes("1\t0/6000000\tb\n"));

    const ArchiveState state = read();

    CHECK(state.wal.first == name_of(3));
    CHECK(state.window.value().stretches.at(0).stop == kServerEpoch + 2000);
    CHECK(state.coverage.backups.at(1).missing.at(0).first == name_of(4));
    REQUIRE(state.problems.size() == 1);
    CHECK(state.problems[0].code() == ErrorCode::archive_duplicate);
}
