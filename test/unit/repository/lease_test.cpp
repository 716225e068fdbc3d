// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/lease.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/parallel.hpp"
#include "pgstrata/util/process.hpp"

#include <nlohmann/json.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

LeaseInfo own_lease()
{
    LeaseInfo lease{
        host_name(), boot_id(), ::getpid(), process_start_ticks(::getpid()), now_seconds()};
    lease.pid_namespace = pid_namespace();
    return lease;
}

} // namespace

TEST_CASE("a lease says who holds it and goes when it is released", "[repository][lease][bug-46]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    CHECK_FALSE(read_lease(*memory.repository, kStanza, kLabel));

    const auto lease = Lease::claim(*memory.repository, kStanza, kLabel);

    REQUIRE(lease);
    const auto info = read_lease(*memory.repository, kStanza, kLabel);
    REQUIRE(info);
    CHECK(info->host == host_name());
    CHECK(info->boot_id == boot_id());
    CHECK(info->pid == ::getpid());
    CHECK(info->pid_started == process_start_ticks(::getpid()));
    CHECK(info->pid_namespace == pid_namespace());
    CHECK(std::abs(info->renewed - now_seconds()) < 60);
    CHECK(is_alive(*info, now_seconds()));
    lease->release();
    CHECK_FALSE(read_lease(*memory.repository, kStanza, kLabel));
}

TEST_CASE("a label is claimed once", "[repository][lease][bug-46][bug-15]")
{
    const MemoryRepository memory;
    const auto first = Lease::claim(*memory.repository, kStanza, kLabel);
    REQUIRE(first);
    CHECK(Lease::claim(*memory.repository, kStanza, kLabel) == nullptr);
    CHECK(Lease::claim(*memory.repository, kStanza, "20261121-020001F") != nullptr);
    first->release();
    CHECK(Lease::claim(*memory.repository, kStanza, kLabel) != nullptr);
}

TEST_CASE("of many that claim at once, one gets the label", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    std::atomic<int> winners = 0;
    std::vector<std::unique_ptr<Lease>> leases(8);
    run_workers(8, [&](std::size_t worker, const std::stop_token&) {
        leases[worker] = Lease::claim(*memory.repository, kStanza, kLabel);
        winners += leases[worker] ? 1 : 0;
    });
    CHECK(winners == 1);
}

TEST_CASE("a lease that is dropped without release stays, as after a crash",
          "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    Lease::claim(*memory.repository, kStanza, kLabel).reset();
    CHECK(read_lease(*memory.repository, kStanza, kLabel));
}

TEST_CASE("an error other than the taken name is no answer", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    storage::FaultPlan plan;
    plan.code = ErrorCode::file_write;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    const auto repository = Repository::open(*failing, {});
    const std::uint64_t before = plan.count;
    for (std::uint64_t n = 1; n <= 3; ++n) {
        plan.count = before;
        plan.fail_at = before + n;
        CAPTURE(n);
        CHECK_THROWS_MATCHES(
            Lease::claim(*repository, kStanza, kLabel), Error, HasCode(ErrorCode::file_write));
        CHECK_FALSE(read_lease(*memory.repository, kStanza, kLabel));
    }
}

TEST_CASE("on this host the process tells, whatever the clock says", "[repository][lease][bug-46]")
{
    const UnixSeconds now = now_seconds();
    const UnixSeconds renewed = GENERATE_COPY(as<UnixSeconds>(), now, now - 1000000, now + 1000000);
    LeaseInfo lease = own_lease();
    lease.renewed = renewed;
    CHECK(is_alive(lease, now));

    SECTION("a process that came round again under the same number")
    {
        ++lease.pid_started;
        CHECK_FALSE(is_alive(lease, now));
    }
    SECTION("a process that ended")
    {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::_exit(0);
        }
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        lease.pid = child;
        CHECK_FALSE(is_alive(lease, now));
    }
}

TEST_CASE("on another host, or before a reboot, age tells", "[repository][lease][bug-46]")
{
    const UnixSeconds now = 1795226400;
    LeaseInfo lease = own_lease();
    if (GENERATE(true, false)) {
        lease.host = "elsewhere.example";
    } else {
        lease.boot_id = "00000000-0000-0000-0000-000000000000";
    }
    lease.pid = 1;
    const auto [age, alive] = GENERATE(table<UnixSeconds, bool>({
        {0, true},
        {kLeaseRenewSeconds, true},
        {kLeaseLifeSeconds - 1, true},
        {kLeaseLifeSeconds, false},
        {1000000, false},
        {-5, true},
    }));
    lease.renewed = now - age;
    CAPTURE(age);
    CHECK(is_alive(lease, now) == alive);
}

TEST_CASE("a process number of another container on this host says nothing, age tells",
          "[repository][lease][bug-46]")
{
    const UnixSeconds now = now_seconds();
    LeaseInfo lease = own_lease();
    REQUIRE(lease.pid_namespace != 0);
    // Whoever has that number here is not the one that wrote the lease.
    lease.pid = GENERATE(as<std::int64_t>(), 1, ::getpid(), 2147483647);
    ++lease.pid_started;
    SECTION("another container")
    {
        ++lease.pid_namespace;
    }
    SECTION("a lease of an earlier version, which does not tell")
    {
        lease.pid_namespace = 0;
    }
    SECTION("a boot that the system does not tell")
    {
        lease.boot_id.clear();
    }
    lease.renewed = now - kLeaseLifeSeconds + 1;
    CHECK(is_alive(lease, now));
    lease.renewed = now - kLeaseLifeSeconds;
    CHECK_FALSE(is_alive(lease, now));
}

TEST_CASE("a process whose begin the system does not tell is judged by age",
          "[repository][lease][bug-46]")
{
    const UnixSeconds now = now_seconds();
    LeaseInfo lease = own_lease();
    lease.pid_started = 0;
    CHECK(is_alive(lease, now));
    lease.renewed = now - kLeaseLifeSeconds;
    CHECK_FALSE(is_alive(lease, now));
}

TEST_CASE("a lease that was written before it told the container is read",
          "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    nlohmann::json document = {{"host", host_name()},
                               {"boot-id", boot_id()},
                               {"pid", static_cast<std::uint64_t>(::getpid())},
                               {"pid-started", process_start_ticks(::getpid())},
                               {"renewed", static_cast<std::uint64_t>(now_seconds())}};
    memory.repository->write_document(lease_path(kStanza, kLabel), document);
    const auto lease = read_lease(*memory.repository, kStanza, kLabel);
    REQUIRE(lease);
    CHECK(lease->pid_namespace == 0);
    CHECK(is_alive(*lease, now_seconds()));
    document["pid-namespace"] = "4026531836";
    memory.repository->write_document(
        lease_path(kStanza, kLabel), document, storage::WriteMode::replace);
    CHECK_THROWS_MATCHES(
        read_lease(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::format));
}

TEST_CASE("a lease that is given up leaves those of earlier turns", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    Lease::claim(*memory.repository, kStanza, kLabel).reset();
    const auto second = Lease::claim(*memory.repository, kStanza, kLabel, 1);
    REQUIRE(second);
    second->give_up();
    CHECK(find_lease_turn(*memory.repository, kStanza, kLabel) == 0U);
    CHECK(Lease::claim(*memory.repository, kStanza, kLabel, 1) != nullptr);
}

TEST_CASE("a damaged lease is an error, not an absent one", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    memory.replace(lease_path(kStanza, kLabel), as_bytes("{"));
    CHECK_THROWS_MATCHES(
        read_lease(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::checksum));
    memory.repository->write_document(
        lease_path(kStanza, kLabel), {{"host", 1}}, storage::WriteMode::replace);
    CHECK_THROWS_MATCHES(
        read_lease(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::format));
}

TEST_CASE("of two that want to take a backup up again, one can", "[repository][lease][bug-46]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    Lease::claim(*memory.repository, kStanza, kLabel).reset(); // a first try that died
    REQUIRE(find_lease_turn(*memory.repository, kStanza, kLabel) == 0U);
    std::atomic<int> winners = 0;
    std::vector<std::unique_ptr<Lease>> leases(4);
    run_workers(4, [&](std::size_t worker, const std::stop_token&) {
        leases[worker] = Lease::claim(*memory.repository, kStanza, kLabel, 1);
        winners += leases[worker] ? 1 : 0;
    });
    CHECK(winners == 1);
    const auto lease = read_lease(*memory.repository, kStanza, kLabel);
    REQUIRE(lease);
    CHECK(lease->turn == 1);
    CHECK(is_alive(*lease, now_seconds()));
}

TEST_CASE("the lease of the newest turn counts, by number", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    CHECK_FALSE(find_lease_turn(*memory.repository, kStanza, kLabel));
    for (const unsigned turn : {0U, 2U, 10U, 9U}) {
        Lease::claim(*memory.repository, kStanza, kLabel, turn).reset();
    }
    memory.replace(lease_path(kStanza, kLabel) + ".4294967295", as_bytes("no lease"));
    memory.replace(lease_path(kStanza, kLabel) + "s", as_bytes("no lease"));
    CHECK(find_lease_turn(*memory.repository, kStanza, kLabel) == 10U);
    const auto lease = read_lease(*memory.repository, kStanza, kLabel);
    REQUIRE(lease);
    CHECK(lease->turn == 10);
}

TEST_CASE("a damaged lease has its turn all the same", "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    Lease::claim(*memory.repository, kStanza, kLabel).reset();
    memory.replace(lease_path(kStanza, kLabel, 3), as_bytes("{"));
    CHECK(find_lease_turn(*memory.repository, kStanza, kLabel) == 3U);
    CHECK_THROWS_MATCHES(
        read_lease(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("releasing a lease removes those of earlier turns and no later one",
          "[repository][lease][bug-46]")
{
    const MemoryRepository memory;
    const std::string backup = backup_path(kStanza, kLabel);
    memory.replace(backup + "/manifest", as_bytes("manifest"));
    Lease::claim(*memory.repository, kStanza, kLabel).reset();
    const auto second = Lease::claim(*memory.repository, kStanza, kLabel, 2);
    REQUIRE(second);
    Lease::claim(*memory.repository, kStanza, kLabel, 11).reset();
    second->release();
    CHECK(names_in(*memory.storage, backup) == std::vector<std::string>{"lease.11", "manifest"});
    const auto last = Lease::claim(*memory.repository, kStanza, kLabel, kLeaseTurnLimit - 1);
    REQUIRE(last);
    last->release();
    CHECK(names_in(*memory.storage, backup) == std::vector<std::string>{"manifest"});
}

TEST_CASE("a turn whose lease nobody would find is not claimed", "[repository][lease][bug-54]")
{
    const MemoryRepository memory;
    const unsigned turn = GENERATE(as<unsigned>(), kLeaseTurnLimit, ~0U);
    CHECK_THROWS_MATCHES(
        Lease::claim(*memory.repository, kStanza, kLabel, turn), Error, HasCode(ErrorCode::format));
    CHECK(names_in(*memory.storage, backup_path(kStanza, kLabel)).empty());
}
