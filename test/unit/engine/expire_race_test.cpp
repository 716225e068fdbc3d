// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/interrupted_storage.hpp"
#include "support/matchers.hpp"
#include "support/rounds.hpp"
#include "support/turns.hpp"
#include "unit/engine/expire_fixture.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/util/cancel.hpp"

#include <csignal>
#include <thread>

// Expire beside others at work on the same backups, and cut off while they are.

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

constexpr auto kStartsInTheArchive = "000000010000000000000028";

std::string incr_on_first(const ExpireFixture& site)
{
    return site.builder.label("F1") + "_20261230-010000I";
}

BackupSummary summary_of(const ExpireFixture& site, const std::string& label)
{
    BackupSummary summary;
    summary.label = label;
    summary.type = BackupType::incr;
    summary.archive_id = {15, 1};
    summary.system_identifier = 1001;
    summary.prior = site.builder.label("F1");
    summary.references = {summary.prior};
    summary.start_wal = kStartsInTheArchive;
    summary.stop_wal = kStartsInTheArchive;
    return summary;
}

// As a backup that chose F1 to build on before there was a newer full.
void make_backup_on_first(const ExpireFixture& site, const Repository& repository, bool is_aborted)
{
    const std::string prior = summary_path(kStanza, site.builder.label("F1"));
    const std::string label = incr_on_first(site);
    const auto put = [&](const std::string& path) {
        storage::write_file(repository.storage(), path, as_bytes("x"));
    };
    if (!repository.storage().info(prior)) {
        return;
    }
    const auto lease = Lease::claim(repository, kStanza, label);
    bool is_good = repository.storage().info(prior).has_value();
    if (is_good) {
        put(pack_path(kStanza, label, 0));
        put(pack_path(kStanza, label, 1));
        put(manifest_path(kStanza, label));
        is_good = !is_aborted && repository.storage().info(prior) && lease->is_held();
    }
    if (!is_good) {
        remove_incomplete_backup(repository, kStanza, label, *lease);
        return;
    }
    write_summary(repository, kStanza, summary_of(site, label));
    lease->release();
}

bool is_listed(const ExpireFixture& site, const std::string& name)
{
    return site.memory.storage->info(summary_path(kStanza, site.builder.label(name))).has_value();
}

// Several at work on one repository, operation by operation.
class Actors {
public:
    Actors(ExpireFixture& site,
           unsigned seed,
           std::vector<std::function<void(const Repository&)>> of)
        : site_(site), turns_(of.size(), seed), actions_(std::move(of))
    {
    }

    void act()
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < actions_.size(); ++i) {
            threads.emplace_back([this, i] { act_as(i); });
        }
    }

    // Taken from a backup that was listed.
    std::vector<std::string> violations;
    std::vector<std::string> failures;

private:
    void act_as(std::size_t actor)
    {
        HookedStorage storage(*site_.memory.storage, [&](StorageCall call, std::string_view path) {
            turns_.yield(actor);
            check(call, path);
        });
        try {
            const auto repository = Repository::open(storage, {});
            actions_[actor](*repository);
        } catch (const Error& error) {
            const std::scoped_lock lock(mutex_);
            failures.emplace_back(error.what());
        }
        turns_.leave(actor);
    }

    void check(StorageCall call, std::string_view path)
    {
        const std::size_t label_end = path.find("/pack/");
        if (call != StorageCall::remove || label_end == std::string_view::npos) {
            return;
        }
        const std::string summary = std::string(path.substr(0, label_end)) + "/backup.json";
        if (site_.memory.storage->info(summary)) {
            const std::scoped_lock lock(mutex_);
            violations.emplace_back(path);
        }
    }

    ExpireFixture& site_;
    Turns turns_;
    std::vector<std::function<void(const Repository&)>> actions_;
    std::mutex mutex_; // of what is found
};

} // namespace

TEST_CASE("two hosts that expire at once while a third begins a backup come to one end",
          "[engine][expire][bug-28][bug-32]")
{
    const WarningLog log;
    const bool is_aborted = GENERATE(false, true);
    unsigned made = 0;
    unsigned removed = 0;
    for (unsigned seed = 1; seed <= rounds(100); ++seed) {
        CAPTURE(seed, is_aborted);
        ExpireFixture site("FIF", 40);
        const auto expire_all = [&](const Repository& repository) {
            expire(site.options(keep_fulls(1)), repository);
        };
        Actors actors(site, seed, {expire_all, expire_all, [&](const Repository& repository) {
                                       make_backup_on_first(site, repository, is_aborted);
                                   }});
        actors.act();

        CHECK(actors.violations == std::vector<std::string>());
        CHECK(actors.failures == std::vector<std::string>());
        site.check_whole();
        const std::size_t complete = list_backups(*site.memory, kStanza).size();
        made += complete >= 3 ? 1 : 0;
        removed += complete == 1 ? 1 : 0;
        // Whatever it is, the next one ends it.
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F2");
        CHECK(list_labels(*site.memory, kStanza).size() == 1);
    }
    CHECK(removed > 0);
    CHECK((is_aborted || made > 0));
}

TEST_CASE("an expire that ends anywhere gives back what another host has begun to build on",
          "[engine][expire][bug-28][bug-31]")
{
    const WarningLog log;
    const bool is_signal = GENERATE(true, false);
    // On which of them, before its summary goes.
    const auto* prior = GENERATE("I1", "F1");
    const std::uint64_t first = GENERATE(as<std::uint64_t>(), 1, 101);
    for (std::uint64_t n = first; n < first + 100; ++n) {
        CAPTURE(n, is_signal, prior);
        ExpireFixture site("FIF", 40);
        const std::string running = incr_on_first(site);
        bool has_begun = false;
        InterruptedStorage inner(
            *site.memory.storage, backup_path(kStanza, site.builder.label(prior)), [&] {
                has_begun = true;
                site.put(pack_path(kStanza, running, 0));
                site.write_foreign_lease(running, 5);
            });
        std::uint64_t count = 0;
        HookedStorage storage(inner, [&](StorageCall, std::string_view) {
            if (++count < n) {
                return;
            }
            if (!is_signal) {
                raise(ErrorCode::service, "dead");
            }
            set_pending_signal(SIGTERM);
        });
        try {
            const auto repository = Repository::open(storage, {});
            expire(site.options(keep_fulls(1)), *repository);
        } catch (const Error& error) {
            CHECK(error.code() == (is_signal ? ErrorCode::terminated : ErrorCode::service));
        }
        set_pending_signal(0);
        if (is_signal) {
            site.check_whole();
            CHECK((is_listed(site, prior) || !has_begun));
        }
        site.remove_leases(running);
        expire(site.options(keep_fulls(1)), *site.memory);
        if (has_begun) {
            REQUIRE(is_listed(site, prior));
            site.put(pack_path(kStanza, running, 1));
            site.put(manifest_path(kStanza, running));
            write_summary(*site.memory, kStanza, summary_of(site, running));
            CHECK(list_history(*site.memory, kStanza).size() <= 1);
        }
        site.check_whole();
        CHECK(is_listed(site, "F2"));
    }
}

TEST_CASE("a set that is being made, or that another host builds on, is not removed on request",
          "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIFF", 50);
    const std::string running = incr_on_first(site);
    site.put(pack_path(kStanza, running, 0));
    site.write_foreign_lease(running, 5);
    const auto before = site.objects();
    ExpireOptions options = site.options(keep_fulls(9));
    const auto* name = GENERATE("", "F1", "I1");
    options.request.set = *name == '\0' ? running : site.builder.label(name);
    options.is_dry_run = GENERATE(false, true);

    try {
        expire(options, *site.memory);
        FAIL("removed");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::lock_acquire);
        CHECK_THAT(error.what(), Catch::Contains(running) && Catch::Contains("in progress"));
        CHECK_THAT(error.hint(), Catch::Contains("wait until it is done"));
    }

    CHECK(site.objects() == before);
    SECTION("until its host has been dead for a while")
    {
        site.write_foreign_lease(running, kLeaseLifeSeconds + 1);
        options.is_dry_run = false;
        CHECK_NOTHROW(expire(options, *site.memory));
        CHECK_FALSE(site.memory.storage->info(summary_path(kStanza, options.request.set)));
    }
}

TEST_CASE("a set that another host begins to build on at this moment is given back with an error",
          "[engine][expire][bug-28]")
{
    const WarningLog log;
    ExpireFixture site("FIF", 40);
    const std::string running = incr_on_first(site);
    InterruptedStorage storage(*site.memory.storage,
                               backup_path(kStanza, site.builder.label("F1")),
                               [&] { site.write_foreign_lease(running, 5); });
    const auto repository = Repository::open(storage, {});
    ExpireOptions options = site.options(keep_fulls(9));
    options.request.set = site.builder.label("F1");

    CHECK_THROWS_MATCHES(expire(options, *repository), Error, HasCode(ErrorCode::lock_acquire));

    CHECK(site.backups() == "F1 I1 F2");
    CHECK(site.segments() == "1-40");
}
