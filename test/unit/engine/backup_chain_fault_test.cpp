// SPDX-License-Identifier: PostgreSQL
#include "support/rounds.hpp"
#include "unit/engine/backup_fixture.hpp"
#include "unit/engine/chain_fixture.hpp"
#include "unit/engine/fake_session.hpp"

#include "pgstrata/repository/lease.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::BackupType;

namespace {

constexpr auto kChanged = "base/1/16384";

// A full, and a data directory that has changed since.
struct ChainRun : test::BackupRun {
    ChainRun()
    {
        backup.pack_size = 32U << 10U;
        // Pages of another place would be read again and again before they count as damaged.
        backup.check_pages = false;
        for (int i = 0; i < 4; ++i) {
            data.write(fmt::format("base/1/{}", 16384 + i), make_pages(0, 30));
        }
        data.write("base/1/20000", make_pages(0, 40));
        data.write("pg_xact/0000", std::string(300000, 'x'));
        first_label = run().label;
        before = contents();
        data.write(kChanged, make_pages(7, 30));
        data.write("base/1/20000", make_pages(0, 20));
        data.write("base/1/20001", make_pages(0, 20));
        data.write("pg_xact/0000", std::string(300000, 'y'));
        data.remove("base/1/16387");
        backup.type = BackupType::incr;
        backup.is_delta = true;
    }

    std::map<std::string, std::string> contents() const
    {
        std::map<std::string, std::string> all;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(data.path())) {
            if (entry.is_regular_file()) {
                all[std::filesystem::relative(entry.path(), data.path()).string()] =
                    read_text_file(entry.path().string());
            }
        }
        return all;
    }

    void check(const std::string& label, const std::map<std::string, std::string>& files) const
    {
        const auto found = manifest(label);
        REQUIRE(found.files.size() == files.size());
        repository::PackReader reader(*first.repository, kStanza, found.packs);
        for (const auto& file : found.files) {
            INFO(label << " " << file.path);
            REQUIRE((read_through_chain(reader, *first.repository, found, file) ==
                     files.at(file.path)));
        }
    }

    // Leases of a process that lives go with it; here it is the same process.
    void forget_leases() const
    {
        for (const std::string& label : repository::list_labels(*first.repository, kStanza)) {
            const std::string backup_directory = repository::backup_path(kStanza, label);
            for (const std::string& name : names_in(*first.storage, backup_directory)) {
                if (repository::parse_lease_name(name)) {
                    first.storage->remove(fmt::format("{}/{}", backup_directory, name));
                }
            }
        }
    }

    // False when there were fewer operations than that.
    bool run_with_fault(std::uint64_t n)
    {
        fault.count = 0;
        fault.fail_at = n;
        try {
            second_label = run().label;
        } catch (const Error& error) {
            CHECK(error.code() == fault.code);
        }
        const bool was_hit = fault.count >= n;
        fault.fail_at = 0;
        return was_hit;
    }

    void check_listed() const
    {
        for (const auto& summary : repository::list_backups(*first.repository, kStanza)) {
            check(summary.label, summary.label == first_label ? before : contents());
        }
    }

    std::string first_label;
    std::string second_label; // when it was made
    std::map<std::string, std::string> before;
};

} // namespace

TEST_CASE("an incremental stores what changed and refers to the rest", "[engine][backup][bug-3]")
{
    ChainRun run;
    const auto summary = run.run();
    CHECK(summary.type == BackupType::incr);
    CHECK(summary.prior == run.first_label);
    CHECK(summary.references == std::vector<std::string>{run.first_label});
    // 30 pages and 20 pages, the file that is stored whole, pg_control.
    CHECK(summary.delta == 50 * kPageSize + 300000 + 8192);
    CHECK(summary.change_tracking == "scan");
    run.check(summary.label, run.contents());
    run.check(run.first_label, run.before);
}

TEST_CASE("whatever operation of an incremental fails, the chain stays whole and the next works",
          "[engine][backup][bug-14][bug-31][bug-45]")
{
    const bool stays_broken = GENERATE(false, true);
    const bool can_resume = GENERATE(true, false);
    std::uint64_t n = 1;
    for (bool was_hit = true; was_hit; n += stride(2)) {
        ChainRun run;
        run.backup.can_resume = can_resume;
        run.fault.stay_broken = stays_broken;
        CAPTURE(n, stays_broken, can_resume);
        was_hit = run.run_with_fault(n);
        run.check_listed();
        REQUIRE(repository::read_summary(*run.first.repository, kStanza, run.first_label));
        if (n % 5 == 0) {
            run.forget_leases();
            const auto next = run.run();
            CHECK(next.type == BackupType::incr);
            run.check(next.label, run.contents());
            run.check_listed();
        }
        REQUIRE(n < 1000);
    }
    CHECK(n > 50);
}

TEST_CASE("an incremental does not outlive what it builds on", "[engine][backup][bug-3][bug-28]")
{
    ChainRun run;
    FakeSession session;
    run.backup.check_archive = false;
    SECTION("the prior backup is removed while it runs")
    {
        session.on_stop = [&] {
            run.first.storage->remove(repository::summary_path(kStanza, run.first_label));
        };
        CHECK_THROWS_MATCHES(run.run(&session), Error, HasCode(ErrorCode::backup_set_invalid));
    }
    SECTION("somebody else takes it over while it runs")
    {
        session.on_stop = [&] {
            const auto labels = repository::list_labels(*run.first.repository, kStanza);
            repository::Lease::claim(*run.first.repository, kStanza, labels.back(), 1);
        };
        CHECK_THROWS_MATCHES(run.run(&session), Error, HasCode(ErrorCode::lock_acquire));
        // What is there is the other's now.
        const auto labels = repository::list_labels(*run.first.repository, kStanza);
        CHECK_FALSE(
            names_in(*run.first.storage, repository::pack_path(kStanza, labels.back())).empty());
        CHECK(repository::find_lease_turn(*run.first.repository, kStanza, labels.back()) == 1U);
    }
    for (const auto& summary : repository::list_backups(*run.first.repository, kStanza)) {
        CHECK(summary.label == run.first_label);
    }
}
