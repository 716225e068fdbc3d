// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

constexpr auto kOther = "20261122-020000F";

void begin_backup(const Repository& repository, const std::string& label)
{
    storage::write_file(repository.storage(), pack_path(kStanza, label, 0), as_bytes("x"));
    storage::write_file(repository.storage(), pack_path(kStanza, label, 1), as_bytes("x"));
}

void complete_backup(const Repository& repository, const std::string& label)
{
    BackupSummary summary;
    summary.label = label;
    summary.archive_id = {15, 1};
    write_summary(repository, kStanza, summary);
}

// The lease of a backup on another host.
void write_foreign_lease(const Repository& repository,
                         const std::string& label,
                         UnixSeconds age,
                         unsigned turn = 0)
{
    repository.write_document(lease_path(kStanza, label, turn),
                              {{"host", "elsewhere.example"},
                               {"boot-id", "x"},
                               {"pid", 1U},
                               {"pid-started", 1U},
                               {"renewed", static_cast<std::uint64_t>(now_seconds() - age)}});
}

} // namespace

TEST_CASE("complete backups are left alone", "[engine][abandoned][bug-28]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    complete_backup(*memory, kLabel);
    // One that died between its summary and the removal of its lease.
    write_foreign_lease(*memory, kLabel, 5);
    collect_abandoned_backups(*memory, kStanza);
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).size() == 3);
}

TEST_CASE("what dead backups left is removed", "[engine][abandoned][bug-31][bug-46]")
{
    const WarningLog log;
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    begin_backup(*memory, kLabel);
    begin_backup(*memory, kOther);
    complete_backup(*memory, kOther);
    SECTION("without a lease") {}
    SECTION("with one that ran out")
    {
        write_foreign_lease(*memory, kLabel, kLeaseLifeSeconds + 1);
    }
    collect_abandoned_backups(*memory, kStanza);
    CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{kOther});
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).empty());
}

TEST_CASE("what a complete backup builds on is not taken for an aborted backup",
          "[engine][abandoned][bug-32]")
{
    const WarningLog log;
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    // Of a backup whose summary was lost, so that it is a directory without one.
    write_foreign_lease(*memory, kLabel, kLeaseLifeSeconds + 1);
    BackupSummary summary;
    summary.label = fmt::format("{}_20261123-020000I", kLabel);
    summary.archive_id = {15, 1};
    std::string need = " builds on it";
    SECTION("that is made after it")
    {
        summary.prior = kLabel;
        write_summary(*memory, kStanza, summary);
    }
    SECTION("that has some of its packs")
    {
        summary.references = {kLabel};
        write_summary(*memory, kStanza, summary);
    }
    SECTION("that cannot be read")
    {
        storage::write_file(
            *memory.storage, summary_path(kStanza, summary.label), as_bytes("damaged"));
        need = " may build on it";
    }
    collect_abandoned_backups(*memory, kStanza);
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).size() == 2);
    CHECK_THAT(log.text(), Catch::Contains(summary.label + need));
}

TEST_CASE("a backup that has lost its summary is not taken for an aborted one",
          "[engine][abandoned][bug-32]")
{
    const WarningLog log;
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    storage::write_file(*memory.storage, manifest_path(kStanza, kLabel), as_bytes("x"));
    const bool is_alone = GENERATE(true, false);
    if (!is_alone) {
        begin_backup(*memory, kOther);
    }
    collect_abandoned_backups(*memory, kStanza);
    CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{kLabel});
    CHECK(memory.storage->info(pack_path(kStanza, kLabel, 0)));
    CHECK_THAT(log.text(),
               Catch::Contains(summary_path(kStanza, kLabel)) &&
                   Catch::Contains(fmt::format("expire --set={}", kLabel)));
}

TEST_CASE("who has lost the lease of a backup does not remove it", "[engine][abandoned][bug-46]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    const auto lease = claim_next_turn(*memory, kStanza, kLabel, std::nullopt);
    std::unique_ptr<Lease> other;
    const auto take_over = [&] {
        other = Lease::claim(*memory, kStanza, kLabel, 1);
        complete_backup(*memory, kLabel);
    };
    std::string moment;
    SECTION("before")
    {
        take_over();
    }
    SECTION("while it is listed")
    {
        moment = pack_path(kStanza, kLabel);
    }
    InterruptedStorage storage(*memory.storage, moment, take_over);
    const auto repository = Repository::open(storage, {});

    CHECK_THROWS_MATCHES(remove_incomplete_backup(*repository, kStanza, kLabel, *lease),
                         Error,
                         HasCode(ErrorCode::lock_acquire));

    CHECK(list_backups(*memory, kStanza).size() == 1);
    CHECK(memory.storage->info(pack_path(kStanza, kLabel, 1)));
}

TEST_CASE("a backup in progress keeps others from beginning", "[engine][abandoned][bug-46][bug-28]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    std::unique_ptr<Lease> own;
    SECTION("here")
    {
        own = Lease::claim(*memory, kStanza, kLabel);
    }
    SECTION("on another host")
    {
        write_foreign_lease(*memory, kLabel, 5);
    }
    SECTION("of an unreadable lease that was written a moment ago")
    {
        memory.replace(lease_path(kStanza, kLabel), as_bytes("{"));
    }
    CHECK_THROWS_MATCHES(
        collect_abandoned_backups(*memory, kStanza), Error, HasCode(ErrorCode::lock_acquire));
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).size() == 2);
    CHECK_NOTHROW(collect_abandoned_backups(*memory, "another"));
}

TEST_CASE("a backup that is completed at this very moment is kept", "[engine][abandoned][bug-28]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    write_foreign_lease(*memory, kLabel, 5);
    InterruptedStorage storage(*memory.storage, lease_path(kStanza, kLabel), [&] {
        complete_backup(*memory, kLabel);
        memory.storage->remove(lease_path(kStanza, kLabel));
    });
    const auto repository = Repository::open(storage, {});

    collect_abandoned_backups(*repository, kStanza);

    CHECK(list_backups(*memory, kStanza).size() == 1);
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).size() == 2);
}

TEST_CASE("a removal that is cut off can be finished by the next", "[engine][abandoned][bug-31]")
{
    const WarningLog log;
    for (std::uint64_t n = 1;; ++n) {
        const MemoryRepository memory;
        begin_backup(*memory, kLabel);
        storage::write_file(*memory.storage, manifest_path(kStanza, kLabel), as_bytes("x"));
        storage::write_file(*memory.storage, journal_path(kStanza, kLabel, 0), as_bytes("x"));
        write_foreign_lease(*memory, kLabel, kLeaseLifeSeconds + 1);
        storage::FaultPlan plan;
        plan.code = ErrorCode::file_remove;
        plan.stay_broken = true;
        const auto failing = storage::make_failing_storage(*memory.storage, plan);
        const auto repository = Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = n;
        CAPTURE(n);
        try {
            collect_abandoned_backups(*repository, kStanza);
            CHECK(n > 8);
            break;
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::file_remove);
        }
        // The lease goes last: as long as anything is there, it says whose it was.
        const auto left = names_in(*memory.storage, backup_path(kStanza, kLabel));
        CHECK((left.empty() || std::ranges::any_of(left, [](const std::string& name) {
                   return name.starts_with("lease");
               })));
        // The lease of a process that lives goes with it; here it is the same process.
        memory.storage->remove(lease_path(kStanza, kLabel, 1));
        collect_abandoned_backups(*memory, kStanza);
        CHECK(list_labels(*memory, kStanza).empty());
    }
}

TEST_CASE("a dead backup that somebody takes up at this very moment is not removed",
          "[engine][abandoned][bug-32][bug-46]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    write_foreign_lease(*memory, kLabel, kLeaseLifeSeconds + 1);
    std::unique_ptr<Lease> other;
    InterruptedStorage storage(*memory.storage, lease_path(kStanza, kLabel), [&] {
        other = claim_next_turn(*memory, kStanza, kLabel, 0);
    });
    const auto repository = Repository::open(storage, {});

    CHECK_THROWS_MATCHES(
        collect_abandoned_backups(*repository, kStanza), Error, HasCode(ErrorCode::lock_acquire));

    REQUIRE(other);
    CHECK(other->is_held());
    CHECK(memory.storage->info(pack_path(kStanza, kLabel, 1)));
}

TEST_CASE("a backup that is being removed is not taken up", "[engine][abandoned][bug-32]")
{
    const WarningLog log;
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    bool was_refused = false;
    // While its packs are listed for removal somebody else looks at it.
    InterruptedStorage storage(*memory.storage, pack_path(kStanza, kLabel), [&] {
        try {
            claim_next_turn(*memory, kStanza, kLabel, std::nullopt);
        } catch (const Error& error) {
            was_refused = error.code() == ErrorCode::lock_acquire;
        }
    });
    const auto repository = Repository::open(storage, {});
    collect_abandoned_backups(*repository, kStanza);
    CHECK(was_refused);
    CHECK(list_labels(*memory, kStanza).empty());
}

TEST_CASE("a lease is lost when it is removed or somebody has a later one",
          "[engine][abandoned][bug-46]")
{
    const MemoryRepository memory;
    const auto lease = claim_next_turn(*memory, kStanza, kLabel, std::nullopt);
    CHECK(lease->is_held());
    SECTION("removed")
    {
        memory.storage->remove(lease_path(kStanza, kLabel));
    }
    SECTION("a later turn")
    {
        claim_next_turn(*memory, kStanza, kLabel, 0);
    }
    CHECK_FALSE(lease->is_held());
}

TEST_CASE("of several who want the next turn one gets it, and none when the backup is complete",
          "[engine][abandoned][bug-46]")
{
    const MemoryRepository memory;
    const auto first = claim_next_turn(*memory, kStanza, kLabel, 3);
    CHECK(find_lease_turn(*memory, kStanza, kLabel) == 4U);
    CHECK_THROWS_MATCHES(
        claim_next_turn(*memory, kStanza, kLabel, 3), Error, HasCode(ErrorCode::lock_acquire));
    complete_backup(*memory, kLabel);
    CHECK_THROWS_MATCHES(
        claim_next_turn(*memory, kStanza, kLabel, 4), Error, HasCode(ErrorCode::lock_acquire));
    // The turn that was not needed is given back, with all before it.
    CHECK_FALSE(find_lease_turn(*memory, kStanza, kLabel));
}

TEST_CASE("an incomplete backup is in progress, failed, or one to go on with",
          "[engine][abandoned]")
{
    const MemoryRepository memory;
    begin_backup(*memory, kLabel);
    begin_backup(*memory, kOther);
    write_foreign_lease(*memory, kLabel, kLeaseLifeSeconds + 10);
    write_foreign_lease(*memory, kOther, 5);
    const std::vector<std::string> labels = {kLabel, kOther};

    auto found = describe_incomplete(*memory, kStanza, labels);
    REQUIRE(found.size() == 2);
    CHECK(found[0].label == kLabel);
    CHECK_FALSE(found[0].is_in_progress);
    CHECK(found[0].host == "elsewhere.example");
    CHECK(found[1].is_in_progress);
    CHECK(now_seconds() - found[1].renewed.value() < 60);
    CHECK_FALSE(found[1].can_be_resumed);

    // Only the newest is gone on with, and only if it says what it has stored.
    write_foreign_lease(*memory, kOther, kLeaseLifeSeconds + 10, 1);
    CHECK_FALSE(describe_incomplete(*memory, kStanza, labels).at(1).can_be_resumed);
    for (const char* label : {kLabel, kOther}) {
        storage::write_file(*memory.storage, journal_path(kStanza, label, 0), as_bytes("x"));
    }
    found = describe_incomplete(*memory, kStanza, labels);
    CHECK_FALSE(found.at(0).can_be_resumed);
    CHECK(found.at(1).can_be_resumed);
    CHECK_FALSE(found.at(1).is_in_progress);

    complete_backup(*memory, kOther);
    CHECK(describe_incomplete(*memory, kStanza, {kOther, "20261123-020000F"}).empty());
}
