// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_claim.hpp"
#include "engine/unfinished_backup.hpp"
#include "support/interrupted_storage.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/repository/journal_sample.hpp"

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

constexpr auto kLater = "20261121-020000F_20261123-020000I";

JournalHeader header_of(const std::string& label)
{
    JournalHeader header;
    header.type = parse_backup_label(label)->type;
    header.prior = header.type == BackupType::full ? "" : parse_backup_label(label)->full;
    header.archive_id = {15, 1};
    header.page_size = 8192;
    return header;
}

void complete(const Repository& repository, const std::string& label)
{
    BackupSummary summary;
    summary.label = label;
    summary.archive_id = {15, 1};
    write_summary(repository, kStanza, summary);
}

// A backup that died after two packs with journals and one without.
void leave(const Repository& repository, const std::string& label)
{
    PackSet set(repository, kStanza, label, 1U << 20U);
    PackWriter writer(set);
    JournalWriter journal(header_of(label));
    for (int i = 0; i < 2; ++i) {
        journal.add_file(fmt::format("base/1/{}", i), stored_file(writer, "some bytes"));
        journal.write(repository, kStanza, label, writer.finish().value());
    }
    stored_file(writer, "of an unknown file");
    writer.finish();
    storage::write_file(repository.storage(), manifest_path(kStanza, label), as_bytes("half"));
}

void write_dead_lease(const Repository& repository, const std::string& label, unsigned turn)
{
    repository.write_document(lease_path(kStanza, label, turn),
                              {{"host", "elsewhere.example"},
                               {"boot-id", "x"},
                               {"pid", 1U},
                               {"pid-started", 1U},
                               {"renewed", 1U}});
}

UnfinishedBackup take_up(const Repository& repository, const JournalHeader& wanted)
{
    return take_up_unfinished_backup(repository, kStanza, wanted, 1);
}

} // namespace

TEST_CASE("the newest backup that died is taken up, with what can be proved",
          "[engine][resume][bug-1]")
{
    const QuietLog quiet;
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    complete(*memory, kLabel);
    leave(*memory, kIncrLabel);
    const unsigned turns = GENERATE(0U, 1U, 3U);
    for (unsigned turn = 0; turn < turns; ++turn) {
        write_dead_lease(*memory, kIncrLabel, turn);
    }

    const UnfinishedBackup found = take_up(*memory, header_of(kIncrLabel));

    CHECK(found.claimed.label == kIncrLabel);
    REQUIRE(found.claimed.lease);
    CHECK(find_lease_turn(*memory, kStanza, kIncrLabel) == turns);
    REQUIRE(found.work);
    CHECK(found.work->packs().size() == 2);
    CHECK(names_in(*memory.storage, pack_path(kStanza, kIncrLabel)).size() == 2);
    CHECK_FALSE(memory.storage->info(manifest_path(kStanza, kIncrLabel)));
    found.claimed.lease->release();
    CHECK_FALSE(find_lease_turn(*memory, kStanza, kIncrLabel));
}

TEST_CASE("a pack that is damaged is removed with its journal", "[engine][resume][bug-58]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    leave(*memory, kIncrLabel);
    const std::string pack = pack_path(kStanza, kIncrLabel, 1);
    memory.flip(pack, memory.read(pack).size() / 2);
    const UnfinishedBackup found = take_up(*memory, header_of(kIncrLabel));
    REQUIRE(found.work);
    CHECK(found.work->packs().size() == 1);
    CHECK_FALSE(memory.storage->info(pack));
    CHECK_FALSE(memory.storage->info(journal_path(kStanza, kIncrLabel, 1)));
    CHECK(memory.storage->info(pack_path(kStanza, kIncrLabel, 0)));
}

TEST_CASE("a backup that died is not taken up by one of another kind, and goes",
          "[engine][resume][bug-1]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    complete(*memory, kLabel);
    leave(*memory, kIncrLabel);
    JournalHeader wanted = header_of(kIncrLabel);
    SECTION("a full")
    {
        wanted.type = BackupType::full;
        wanted.prior.clear();
    }
    SECTION("a diff")
    {
        wanted.type = BackupType::diff;
    }
    SECTION("of another chain")
    {
        wanted.prior = "20261120-020000F";
    }
    SECTION("built on another backup of the same chain")
    {
        wanted.prior = "20261121-020000F_20261121-120000I";
    }
    SECTION("of another generation of the cluster")
    {
        wanted.archive_id = {15, 2};
    }
    const UnfinishedBackup found = take_up(*memory, wanted);
    CHECK_FALSE(found.claimed.lease);
    CHECK_FALSE(found.work);
    CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{kLabel});
}

TEST_CASE("a backup that died before a complete one is not taken up", "[engine][resume][bug-15]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    complete(*memory, kLabel);
    leave(*memory, kIncrLabel);
    complete(*memory, kLater);
    const UnfinishedBackup found = take_up(*memory, header_of(kIncrLabel));
    CHECK_FALSE(found.claimed.lease);
    CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{kLabel, kLater});
}

TEST_CASE("of two backups that died the newer is taken up and the older goes", "[engine][resume]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    leave(*memory, kIncrLabel);
    leave(*memory, kLater);
    const UnfinishedBackup found = take_up(*memory, header_of(kLater));
    CHECK(found.claimed.label == kLater);
    CHECK(list_labels(*memory, kStanza) == std::vector<std::string>{kLater});
}

TEST_CASE("with nothing that can be used there is nothing to take up", "[engine][resume]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    storage::write_file(*memory.storage, pack_path(kStanza, kIncrLabel, 0), as_bytes("x"));
    SECTION("no journal") {}
    SECTION("a journal that is none")
    {
        storage::write_file(*memory.storage, journal_path(kStanza, kIncrLabel, 0), as_bytes("x"));
    }
    const UnfinishedBackup found = take_up(*memory, header_of(kIncrLabel));
    CHECK_FALSE(found.claimed.lease);
    CHECK(list_labels(*memory, kStanza).empty());
}

TEST_CASE("what another backup builds on is neither taken up nor removed",
          "[engine][resume][bug-32]")
{
    const WarningLog log;
    const MemoryRepository memory;
    complete(*memory, kLabel);
    leave(*memory, kLater);
    // By a clock that was wrong its label is older.
    BackupSummary summary;
    summary.label = kIncrLabel;
    summary.archive_id = {15, 1};
    summary.references = {kLater};
    write_summary(*memory, kStanza, summary);
    JournalHeader wanted = header_of(kLater);
    SECTION("by one that it fits") {}
    SECTION("by one that it does not fit")
    {
        wanted.page_size = 16384;
    }
    const UnfinishedBackup found = take_up(*memory, wanted);
    CHECK_FALSE(found.claimed.lease);
    CHECK(names_in(*memory.storage, pack_path(kStanza, kLater)).size() == 3);
    CHECK_THAT(log.text(), Catch::Contains(fmt::format("backup {} builds on it", kIncrLabel)));
}

TEST_CASE("a backup in progress is not taken up", "[engine][resume][bug-46]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    leave(*memory, kIncrLabel);
    const auto lease = Lease::claim(*memory, kStanza, kIncrLabel);
    CHECK_THROWS_MATCHES(
        take_up(*memory, header_of(kIncrLabel)), Error, HasCode(ErrorCode::lock_acquire));
    CHECK(names_in(*memory.storage, pack_path(kStanza, kIncrLabel)).size() == 3);
}

TEST_CASE("one of two who want to take up the same backup gets it", "[engine][resume][bug-46]")
{
    const QuietLog quiet;
    const MemoryRepository memory;
    leave(*memory, kIncrLabel);
    write_dead_lease(*memory, kIncrLabel, 0);
    std::unique_ptr<Lease> other;
    bool is_completed = false;
    // After the holder was found dead and before the next turn is claimed.
    const auto interrupt = [&] {
        other = Lease::claim(*memory, kStanza, kIncrLabel, 1);
        if (is_completed) {
            complete(*memory, kIncrLabel);
            memory.storage->remove(lease_path(kStanza, kIncrLabel, 1));
        }
    };
    InterruptedStorage storage(*memory.storage, lease_path(kStanza, kIncrLabel), interrupt);
    const auto repository = Repository::open(storage, {});
    SECTION("who is at work") {}
    SECTION("who has completed it")
    {
        is_completed = true;
    }
    CHECK_THROWS_MATCHES(
        take_up(*repository, header_of(kIncrLabel)), Error, HasCode(ErrorCode::lock_acquire));
    CHECK(names_in(*memory.storage, pack_path(kStanza, kIncrLabel)).size() == 3);
    CHECK(list_backups(*memory, kStanza).size() == (is_completed ? 1U : 0U));
}

TEST_CASE("a backup that fails once leaves no lease for others to wait for",
          "[engine][resume][bug-46]")
{
    const QuietLog quiet;
    const bool can_resume = GENERATE(true, false);
    const std::string incr = "20200101-020000F_20200102-020000I";
    const std::string later = "20200101-020000F_20200103-020000I";
    // The second is of another kind than what died.
    const std::string wanted = GENERATE_COPY(as<std::string>{}, incr, "20200101-020000F");
    storage::FaultPlan plan;
    plan.code = ErrorCode::service;
    for (bool is_reached = true; is_reached;) {
        const MemoryRepository memory;
        leave(*memory, incr);
        leave(*memory, later);
        const auto failing = storage::make_failing_storage(*memory.storage, plan);
        const auto repository = Repository::open(*failing, {});
        plan.count = 0;
        ++plan.fail_at;
        CAPTURE(plan.fail_at);
        try {
            const BackupClaim claim(*repository, kStanza, header_of(wanted), can_resume, 1);
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::service);
        }
        is_reached = plan.count >= plan.fail_at;
        for (const std::string& label : list_labels(*memory, kStanza)) {
            CAPTURE(label);
            CHECK_FALSE(find_lease_turn(*memory, kStanza, label));
        }
        REQUIRE(plan.fail_at < 500);
    }
    CHECK(plan.fail_at > 20);
}
