// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "unit/engine/backup_fixture.hpp"
#include "unit/engine/fake_session.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/repository/lease.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

TEST_CASE("a backup of a stopped cluster holds every file, and pg_control",
          "[engine][backup][bug-50]")
{
    test::BackupRun run(GENERATE(repository::CipherSetting(), gcm_setting()));
    run.backup.compress_level = GENERATE(std::optional<int>(), std::optional<int>(1));
    run.backup.annotations = {{"key", "value"}};

    const auto summary = run.run();

    run.check_complete(summary.label);
    const auto manifest = run.manifest(summary.label);
    CHECK(summary.files == 5);
    CHECK(manifest.files.size() == 5);
    CHECK_FALSE(manifest.header.is_online);
    CHECK(manifest.header.page_size == 8192);
    CHECK(manifest.header.has_page_checks);
    CHECK(summary.size == 3 * kPageSize + 8192 + 3 + 3 + 12);
    CHECK(summary.annotations.at("key") == "value");
    const auto listed = repository::list_backups(*run.first.repository, kStanza);
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].manifest_size ==
          run.first.read(repository::manifest_path(kStanza, summary.label)).size());
    std::uint64_t packs = 0;
    for (const auto& pack : manifest.packs) {
        packs += run.first.read(repository::pack_path(kStanza, pack.name.label, pack.name.number))
                     .size();
    }
    CHECK(listed[0].repository_delta == packs);
    CHECK_FALSE(repository::read_lease(*run.first.repository, kStanza, summary.label));
}

TEST_CASE("a damaged page is in the summary", "[engine][backup][bug-12]")
{
    test::BackupRun run;
    std::string pages = make_pages(0, 3);
    pages[kPageSize + 5000] ^= 1;
    run.data.write("base/1/1259", pages);
    CHECK(run.run().damaged_files == std::vector<std::string>{"base/1/1259"});
}

TEST_CASE("each backup has a later label than all before", "[engine][backup][bug-15]")
{
    test::BackupRun run;
    const std::string first = run.run().label;
    const std::string second = run.run().label;
    CHECK(first < second);
    // A label of the near future, as a clock that went back a little leaves.
    const std::string ahead =
        repository::make_backup_label(repository::BackupType::full, {}, now_seconds() + 30);
    repository::BackupSummary summary;
    summary.label = ahead;
    summary.archive_id = run.cluster.id;
    repository::write_summary(*run.first.repository, kStanza, summary);
    CHECK(ahead < run.run().label);
}

TEST_CASE("a clock that went far back is an error", "[engine][backup][bug-15]")
{
    test::BackupRun run;
    repository::BackupSummary summary;
    summary.label =
        repository::make_backup_label(repository::BackupType::full, {}, now_seconds() + 3600);
    summary.archive_id = run.cluster.id;
    repository::write_summary(*run.first.repository, kStanza, summary);
    CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::clock));
}

TEST_CASE("a running cluster is not backed up as a stopped one", "[engine][backup]")
{
    test::BackupRun run;
    run.data.write("postmaster.pid", "1\n");
    CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::pg_running));
    CHECK(repository::list_labels(*run.first.repository, kStanza).empty());
    run.backup.is_forced = true;
    CHECK_NOTHROW(run.run());
}

TEST_CASE("a cluster that is started while it is backed up as a stopped one has no backup",
          "[engine][backup]")
{
    test::BackupRun run;
    const std::string path = GENERATE("postmaster.pid", "global/pg_control");
    HookedStorage storage(*run.first.storage, [&](StorageCall call, std::string_view created) {
        if (call == StorageCall::create && created.find("/pack/") != std::string_view::npos) {
            run.data.write(path, as_text(make_control_bytes(kSystemIdentifier, 6)));
        }
    });
    run.repository = repository::Repository::open(storage, {});
    CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::pg_running));
    CHECK(repository::list_backups(*run.first.repository, kStanza).empty());
}

TEST_CASE("another cluster, no stanza, or a backup elsewhere is refused at once",
          "[engine][backup][bug-19][bug-46]")
{
    test::BackupRun run;
    SECTION("another cluster")
    {
        run.data.write("global/pg_control", as_text(make_control_bytes(1)));
        CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::backup_mismatch));
    }
    SECTION("no stanza")
    {
        run.backup.stanza = "other";
        CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::file_missing));
    }
    SECTION("a backup in progress")
    {
        const auto lease = repository::Lease::claim(*run.first.repository, kStanza, kLabel);
        CHECK_THROWS_MATCHES(run.run(), Error, HasCode(ErrorCode::lock_acquire));
    }
    CHECK(repository::list_backups(*run.first.repository, kStanza).empty());
}

TEST_CASE("a backup that begins while the stanza is deleted is refused and leaves nothing",
          "[engine][backup][bug-28]")
{
    test::BackupRun run;
    const bool is_done = GENERATE(false, true);
    HookedStorage storage(*run.first.storage, [&](StorageCall call, std::string_view path) {
        if (call != StorageCall::create || !path.ends_with("/lease")) {
            return;
        }
        if (is_done) {
            for (const std::string& lost : repository::cluster_paths(kStanza, run.cluster.id)) {
                run.first.storage->remove(lost);
            }
            return;
        }
        run.first.repository->write_document(
            repository::lease_path(kStanza, kDeletionLabel),
            {{"host", "elsewhere.example"},
             {"boot-id", "x"},
             {"pid", 1U},
             {"pid-started", 1U},
             {"renewed", static_cast<std::uint64_t>(now_seconds())}},
            storage::WriteMode::replace);
    });
    run.repository = repository::Repository::open(storage, {});

    CHECK_THROWS_MATCHES(
        run.run(), Error, HasCode(is_done ? ErrorCode::file_missing : ErrorCode::lock_acquire));

    run.first.storage->remove(repository::lease_path(kStanza, kDeletionLabel));
    CHECK(repository::list_labels(*run.first.repository, kStanza).empty());
}

TEST_CASE("a backup of a running server waits for its WAL and may hold it",
          "[engine][backup][bug-25]")
{
    test::BackupRun run;
    FakeSession session;
    const std::string segment = make_segment("the WAL of the backup");
    run.backup.archive_timeout_milliseconds = 1000;
    run.backup.copy_archive = true;
    run.push(kSegmentName, segment);

    const auto summary = run.run(&session);

    CHECK(session.started == 1);
    CHECK(session.stopped == 1);
    CHECK(summary.start_wal == kSegmentName);
    CHECK(summary.stop_wal == kSegmentName);
    const auto manifest = run.manifest(summary.label);
    CHECK(manifest.header.is_online);
    CHECK(manifest.header.backup_label == "START WAL LOCATION: 0/300028\n");
    CHECK(manifest.databases.size() == 2);
    CHECK(manifest.tablespaces.size() == 1);
    const auto* wal = find_file(manifest, std::string("pg_wal/") + kSegmentName);
    REQUIRE(wal != nullptr);
    CHECK((read_backed_up(*run.first.repository, manifest, *wal) == segment));
}

TEST_CASE("WAL of the same name that the server did not write is not that of its backup",
          "[engine][backup][wal_wait]")
{
    test::BackupRun run;
    FakeSession session;
    const std::string segment = make_segment("what the server wrote");
    const bool is_own = GENERATE(true, false);
    run.push(kSegmentName, is_own ? segment : make_segment("what was given up"));
    run.data.write(std::string("pg_wal/") + kSegmentName, segment);
    if (is_own) {
        CHECK_NOTHROW(run.run(&session));
    } else {
        CHECK_THROWS_MATCHES(run.run(&session), Error, HasCode(ErrorCode::archive_duplicate));
        CHECK(repository::list_backups(*run.first.repository, kStanza).empty());
    }
}

TEST_CASE("WAL that does not come fails the backup, and nothing of it is left",
          "[engine][backup][bug-59][bug-31]")
{
    test::BackupRun run;
    FakeSession session;
    run.backup.archive_timeout_milliseconds = 1;
    session.stop.value = 0x400100;
    run.push(kSegmentName, make_segment());
    CHECK_THROWS_MATCHES(run.run(&session), Error, HasCode(ErrorCode::archive_timeout));
    CHECK(session.stopped == 1);
    CHECK(repository::list_labels(*run.first.repository, kStanza).empty());
}

TEST_CASE("a standby is not taken for the primary", "[engine][backup][bug-16]")
{
    test::BackupRun run;
    FakeSession session;
    session.in_recovery = true;
    CHECK_THROWS_MATCHES(run.run(&session), Error, HasCode(ErrorCode::db_connect));
    CHECK(session.started == 0);
}
