// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "unit/engine/expire_fixture.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/repository/notes.hpp"

#include <mutex>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

std::unique_ptr<ExpireFixture> make_site()
{
    auto site = std::make_unique<ExpireFixture>();
    site->builder.add("F0", 9);
    site->builder.upgrade();
    site->builder.add_all("FDIFI");
    site->write(60);
    site->put(pack_path(kStanza, "20200101-000000F", 0)); // aborted
    site->write_wal({15, 1}, "00000002.history");
    return site;
}

ExpireOptions options_of(const ExpireFixture& site)
{
    ExpireOptions options = site.options(keep_fulls(1));
    options.policy.history = 9999;
    return options;
}

// Notes what is removed one by one and what in one request.
class NotingStorage final : public PassingStorage {
public:
    explicit NotingStorage(storage::Storage& inner) : PassingStorage(inner) {}
    bool remove(std::string_view path) override
    {
        const std::scoped_lock lock(mutex_);
        alone.emplace_back(path);
        return PassingStorage::remove(path);
    }
    void remove_all(std::span<const std::string> paths) override
    {
        const std::scoped_lock lock(mutex_);
        requests.emplace_back(paths.begin(), paths.end());
        inner().remove_all(paths);
    }

    std::vector<std::string> alone;
    std::vector<std::vector<std::string>> requests;

private:
    std::mutex mutex_; // of what is noted
};

} // namespace

TEST_CASE("packs and WAL are removed many in one request", "[engine][expire]")
{
    ExpireFixture site("FIF", 40);
    for (unsigned number = 2; number < 1500; ++number) {
        site.put(pack_path(kStanza, site.builder.label("F1"), number));
    }
    for (unsigned number = 0; number < 2000; ++number) {
        site.write_wal({15, 1}, fmt::format("00000001{:08X}{:08X}", 0, 0x80000000U + number));
    }
    site.builder.at("F2").start_wal = "0000000100000001FFFFFFFF";
    NotingStorage storage(*site.memory.storage);
    const auto repository = Repository::open(storage, {});
    site.memory.storage->remove(summary_path(kStanza, site.builder.label("F2")));
    BackupSummary last = site.builder.at("F2");
    last.stop_wal = last.start_wal;
    write_summary(*site.memory, kStanza, last);

    CHECK(expire(site.options(keep_fulls(1)), *repository).wal_files == 2040);

    for (const std::string& path : storage.alone) {
        CAPTURE(path);
        CHECK(path.find("/pack/") == std::string::npos);
        CHECK(path.find("archive/") == std::string::npos);
    }
    // Summary and manifest of each, its lease, and nothing else.
    CHECK(storage.alone.size() <= 3 * 3);
    std::size_t wal_requests = 0;
    for (const auto& request : storage.requests) {
        CHECK(!request.empty());
        wal_requests += request.front().starts_with("archive/") ? 1U : 0U;
    }
    CHECK(wal_requests <= 3);
    CHECK(storage.requests.size() <= wal_requests + 2 + 1);
}

TEST_CASE("an expire that is cut off anywhere leaves whole backups, and the next one finishes it",
          "[engine][expire][bug-31]")
{
    const WarningLog log;
    const auto untouched = make_site();
    expire(options_of(*untouched), *untouched->memory);
    const auto finished = untouched->objects();
    REQUIRE(untouched->backups() == "F2 I2");
    const bool stays_broken = GENERATE(true, false);
    std::uint64_t failures = 0;
    for (std::uint64_t n = 1;; ++n) {
        const auto site = make_site();
        storage::FaultPlan plan;
        plan.code = ErrorCode::service;
        plan.stay_broken = stays_broken;
        const auto failing = storage::make_failing_storage(*site->memory.storage, plan);
        const auto repository = Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = n;
        CAPTURE(n, stays_broken);
        try {
            expire(options_of(*site), *repository);
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::service);
            ++failures;
        }
        const bool is_over = plan.count < n;
        site->check_whole();
        site->remove_leases();
        expire(options_of(*site), *site->memory);
        CHECK(site->objects() == finished);
        if (is_over) {
            break;
        }
    }
    CHECK(failures > 100);
}

TEST_CASE("what a backup on another host may build on stays", "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIFF", 50);
    const std::string running = site.builder.label("F1") + "_20300101-000000I";
    site.put(pack_path(kStanza, running, 0));
    site.write_foreign_lease(running, 5);

    expire(site.options(keep_fulls(1)), *site.memory);

    CHECK(site.backups() == "F1 I1 F3");
    CHECK(site.memory.storage->info(pack_path(kStanza, running, 0)));
    SECTION("until its host has been dead for a while")
    {
        site.write_foreign_lease(running, kLeaseLifeSeconds + 1);
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F3");
        CHECK(list_labels(*site.memory, kStanza).size() == 1);
    }
}

TEST_CASE("a backup that another host begins while others are removed gets them back",
          "[engine][expire][bug-28][bug-32]")
{
    const WarningLog log;
    ExpireFixture site(GENERATE(CipherSetting(), gcm_setting()));
    site.builder.add_all("FIFF");
    site.write(50);
    const std::string running = site.builder.label("F1") + "_20300101-000000I";
    const bool was_dead = GENERATE(true, false);
    if (was_dead) {
        site.put(pack_path(kStanza, running, 0));
    }
    const auto before = site.segments();
    // When all of the family but the full have lost their summaries.
    InterruptedStorage storage(
        *site.memory.storage, backup_path(kStanza, site.builder.label("F1")), [&] {
            CHECK(site.backups() == "F1 F3");
            site.write_foreign_lease(running, 5);
        });
    const auto repository = Repository::open(
        storage,
        site.memory.repository->cipher().type == codec::CipherType::none ? CipherSetting()
                                                                         : gcm_setting());

    expire(site.options(keep_fulls(1)), *repository);

    CHECK(site.backups() == "F1 I1 F3");
    CHECK(site.files_of("I1").size() == 3);
    CHECK(site.segments() == before);
    CHECK_THAT(log.text(), Catch::Contains("has begun"));
}

TEST_CASE("a pin or life that another host gives a backup at this very moment counts",
          "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIF", 40);
    BackupNote note;
    SECTION("a pin")
    {
        note.is_pinned = true;
    }
    SECTION("a life")
    {
        note.retain = 99 * kDay;
    }
    // Before the summary of the full goes, and when it is about to.
    const auto* moment = GENERATE("I1", "F1");
    InterruptedStorage storage(
        *site.memory.storage, backup_path(kStanza, site.builder.label(moment)), [&] {
            write_note(*site.memory, kStanza, site.builder.label("F1"), note);
        });
    const auto repository = Repository::open(storage, {});
    const auto before = site.segments();

    expire(site.options(keep_fulls(1)), *repository);

    CHECK(site.backups() == "F1 F2");
    CHECK(site.files_of("F1").size() == 4);
    CHECK(site.files_of("I1").empty());
    CHECK(site.segments() == before);
    CHECK(list_history(*site.memory, kStanza) == std::vector{site.builder.label("I1")});
    CHECK_THAT(log.text(), Catch::Contains("was annotated at this moment"));
    expire(site.options(keep_fulls(1)), *site.memory);
    CHECK(site.backups() == "F1 F2");
}

TEST_CASE("a backup that is annotated too late to be left gets back what it builds on",
          "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIIF", 50);
    const std::string pinned = site.builder.label("I1");
    // Its summary went between the last look at its notes and the note.
    InterruptedStorage storage(
        *site.memory.storage, backup_path(kStanza, site.builder.label("F1")), [&] {
            CHECK(site.backups() == "F1 F2");
            site.put(note_path(kStanza, pinned, 1));
        });
    const auto repository = Repository::open(storage, {});

    expire(site.options(keep_fulls(1)), *repository);

    CHECK(site.memory.storage->info(summary_path(kStanza, pinned)));
    CHECK(site.files_of("F1").size() == 3);
    CHECK(site.files_of("I2").empty());
}

TEST_CASE("a summary that another host removes first is removed", "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIF", 40);
    const std::string label = site.builder.label("F1");
    InterruptedStorage storage(*site.memory.storage, backup_path(kStanza, label), [&] {
        site.memory.storage->remove(summary_path(kStanza, label));
    });
    const auto repository = Repository::open(storage, {});
    expire(site.options(keep_fulls(1)), *repository);
    CHECK(site.backups() == "F2");
    CHECK(list_labels(*site.memory, kStanza).size() == 1);
}

TEST_CASE("of two who remove the same one does it", "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FF", 30);
    const std::string label = site.builder.label("F1");
    std::unique_ptr<Lease> other;
    // Once its summary is gone somebody else takes it for an aborted backup.
    site.memory.storage->remove(summary_path(kStanza, label));
    site.memory.storage->remove(manifest_path(kStanza, label));
    InterruptedStorage late(*site.memory.storage, history_path(kStanza), [&] {
        other = claim_next_turn(*site.memory, kStanza, label, std::nullopt);
    });
    const auto repository = Repository::open(late, {});

    expire(site.options(keep_fulls(1)), *repository);

    REQUIRE(other);
    CHECK(site.files_of("F1").size() == 2);
    CHECK_THAT(log.text(), Catch::Contains("taken up by somebody else"));
}
