// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/recorded_log.hpp"
#include "unit/engine/verify_fixture.hpp"

#include "pgstrata/repository/verify_record.hpp"

#include <atomic>

using namespace pgstrata;
using namespace pgstrata::test;
using engine::FaultKind;

namespace {

constexpr std::string_view kRefused = "permission denied";

// A repository of which one path is refused, as a file of another user's is.
struct RefusedRun : VerifyRun {
    engine::VerifyReport
    verify_without(const std::string& path,
                   ErrorCode code,
                   const std::function<bool(StorageCall)>& is_refused = is_open)
    {
        HookedStorage storage(*first.storage, [&](StorageCall call, std::string_view asked) {
            if (asked == path && is_refused(call)) {
                throw Error(code, fmt::format("'{}': {}", path, kRefused), "be another user");
            }
        });
        const auto opened = repository::Repository::open(storage, setting);
        return engine::verify(options, *opened, {});
    }
    static bool is_open(StorageCall call) { return call == StorageCall::open; }
    repository::VerifyRecord last_record() const
    {
        return repository::read_verify_records(*first.repository, kStanza).back();
    }
    repository::PackName first_pack() const { return manifest(full).packs.at(0).name; }
    std::string first_pack_path() const
    {
        return repository::pack_path(kStanza, full, first_pack().number);
    }
};

const engine::VerifyFault* find_refused(const std::vector<engine::VerifyFault>& faults)
{
    const auto found = std::ranges::find(faults, FaultKind::unreadable, &engine::VerifyFault::kind);
    return found == faults.end() ? nullptr : &*found;
}

} // namespace

TEST_CASE("an object that cannot be read is named, and all others are verified",
          "[engine][verify][bug-58]")
{
    RefusedRun run;
    const auto code = GENERATE(ErrorCode::file_open, ErrorCode::access, ErrorCode::service);
    for (const std::string& path : run.all_objects()) {
        if (path == repository::kRepositoryFile) {
            continue; // nothing can be opened without it
        }
        INFO(path);

        const auto report = run.verify_without(path, code);

        CHECK(report.findings() != 0);
        const auto faults = all_faults(report);
        const auto* refused = find_refused(faults);
        REQUIRE(refused != nullptr);
        CHECK(refused->object == path);
        CHECK_THAT(refused->problem, Catch::Contains(std::string(kRefused)));
        CHECK_THAT(refused->problem, Catch::Contains("(be another user)"));
        CHECK(run.last_record().damage.is_empty());
        CHECK(run.last_record().wal.empty());
        for (const auto& fault : faults) {
            CHECK(fault.kind == FaultKind::unreadable);
        }
    }
}

TEST_CASE("a directory that cannot be read is named, and all others are verified",
          "[engine][verify][bug-58]")
{
    RefusedRun run;
    // Below the backup, whose label each run has of its own; or the directory of the WAL.
    const auto [name, call, code] = GENERATE(table<std::string, StorageCall, ErrorCode>(
        {{"pack", StorageCall::list, ErrorCode::path_open},
         {"notes", StorageCall::list, ErrorCode::path_open},
         {"backup.json", StorageCall::info, ErrorCode::file_info},
         {"", StorageCall::list, ErrorCode::path_open}}));
    const std::string path = name.empty() ? fmt::format("archive/{}/15-1/0000000100000000", kStanza)
                                          : repository::backup_path(kStanza, run.full) + "/" + name;
    INFO(path);

    const StorageCall refused_call = call;
    const auto report =
        run.verify_without(path, code, [&](StorageCall asked) { return asked == refused_call; });

    const auto faults = all_faults(report);
    const auto* refused = find_refused(faults);
    REQUIRE(refused != nullptr);
    CHECK_THAT(refused->problem, Catch::Contains(path));
    CHECK(run.last_record().damage.is_empty());
    CHECK(run.last_record().wal.empty());
}

TEST_CASE("a backup cannot be restored while a pack of it cannot be read, and is sound afterwards",
          "[engine][verify][bug-58]")
{
    RefusedRun run;
    const std::string path = run.first_pack_path();

    const auto report = run.verify_without(path, ErrorCode::file_open);

    CHECK_FALSE(backup_of(report, run.full).is_restorable);
    CHECK_FALSE(backup_of(report, run.full).lost.empty());
    CHECK_FALSE(run.last_record().packs.contains(run.first_pack()));
    const auto sound = run.verify();
    CHECK(sound.findings() == 0);
    CHECK(report.bytes < sound.bytes);
}

TEST_CASE("WAL that cannot be read does not count as verified", "[engine][verify][bug-58]")
{
    RefusedRun run;

    const auto report =
        run.verify_without(run.object(VerifyRun::segment(1, 4)), ErrorCode::file_open);

    CHECK(report.archives.at(0).checked == 4);
    CHECK(report.archives.at(0).valid == 4);
    CHECK(run.last_record().segments == 4);
}

TEST_CASE("known damage stays known while what it is in cannot be read", "[engine][verify][bug-58]")
{
    RefusedRun run;
    const bool is_wal = GENERATE(true, false);
    const std::string path = is_wal ? run.object(VerifyRun::segment(1, 4)) : run.first_pack_path();
    run.first.flip(path, 500);
    REQUIRE(run.verify().findings() != 0);

    run.verify_without(path, ErrorCode::access);

    const auto records = repository::read_verify_records(*run.first.repository, kStanza);
    if (is_wal) {
        CHECK(repository::known_damaged_wal(records).contains(path));
    } else {
        CHECK(repository::known_damage(records, {run.full, run.incr}).has(run.first_pack()));
    }
}

TEST_CASE("a record of an earlier run that cannot be read is told of and passed over",
          "[engine][verify][bug-58]")
{
    RefusedRun run;
    run.verify();
    const auto code = GENERATE(ErrorCode::access, ErrorCode::file_open, ErrorCode::service);
    const std::string path = repository::verify_path(kStanza, 1);
    const WarningLog log;

    const auto report = run.verify_without(path, code);

    CHECK(report.findings() == 1);
    const auto* refused = find_refused(report.faults);
    REQUIRE(refused != nullptr);
    CHECK(refused->object == path);
    CHECK_THAT(log.text(), Catch::Contains(fmt::format("'{}': {}", path, kRefused)));
}

TEST_CASE("no pack counts as read while it is not known what must be in it",
          "[engine][verify][bug-58]")
{
    RefusedRun run;
    run.verify_without(repository::manifest_path(kStanza, run.incr), ErrorCode::file_open);
    CHECK(run.last_record().packs.empty());
}

TEST_CASE("a store that goes away while objects are read is an error", "[engine][verify][bug-58]")
{
    RefusedRun run;
    const auto code = GENERATE(ErrorCode::access, ErrorCode::file_open, ErrorCode::service);
    std::atomic<bool> is_away = false;
    HookedStorage storage(*run.first.storage, [&](StorageCall, std::string_view path) {
        if (path == run.first_pack_path()) {
            is_away = true;
        }
        if (is_away) {
            raise(code, "the store is away");
        }
    });
    const auto opened = repository::Repository::open(storage, run.setting);

    CHECK_THROWS_MATCHES(engine::verify(run.options, *opened, {}), Error, HasCode(code));
    CHECK(repository::read_verify_records(*run.first.repository, kStanza).empty());
}
