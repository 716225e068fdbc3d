// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/backup_fixture.hpp"

#include "pgstrata/repository/lease.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

// More than one pack, frame and kind of content.
void fill(test::BackupRun& run)
{
    run.backup.pack_size = 64U << 10U;
    run.backup.compress_level = 1;
    for (int i = 0; i < 6; ++i) {
        run.data.write(fmt::format("base/1/{}", 16384 + i), make_pages(0, 30));
    }
    run.data.write("base/1/20000", make_pages(0, 40));
    run.data.write("pg_xact/0000", std::string(300000, 'x'));
}

// Every backup that is listed has all that it needs; everything else may be garbage.
void check_what_is_listed(const test::BackupRun& run)
{
    for (const auto& summary : repository::list_backups(*run.first.repository, kStanza)) {
        run.check_complete(summary.label);
    }
}

// Runs a backup whose n-th operation on the repository fails; false when there were fewer.
bool run_with_fault(test::BackupRun& run, std::uint64_t n)
{
    run.fault.count = 0;
    run.fault.fail_at = n;
    bool is_made = false;
    try {
        const auto summary = run.run();
        is_made = true;
        CHECK(repository::read_summary(*run.first.repository, kStanza, summary.label));
    } catch (const Error& error) {
        CHECK(error.code() == run.fault.code);
    }
    const bool was_hit = run.fault.count >= n;
    run.fault.fail_at = 0;
    check_what_is_listed(run);
    const auto listed = repository::list_backups(*run.first.repository, kStanza);
    CHECK(listed.size() == (is_made ? 1U : 0U));
    return was_hit;
}

} // namespace

TEST_CASE("whatever operation fails, no backup is listed that lacks anything",
          "[engine][backup][bug-45][bug-31]")
{
    const bool stays_broken = GENERATE(false, true);
    const auto code = GENERATE(ErrorCode::file_write, ErrorCode::service);
    std::uint64_t n = 1;
    for (bool was_hit = true; was_hit; ++n) {
        test::BackupRun run;
        fill(run);
        run.fault.stay_broken = stays_broken;
        run.fault.code = code;
        CAPTURE(n, stays_broken);
        was_hit = run_with_fault(run, n);
        REQUIRE(n < 2000);
    }
    CHECK(n > 30);
}

TEST_CASE("after a fault the next backup is whole", "[engine][backup][bug-14][bug-31]")
{
    // The lease of a process that lives goes with it; here it is the same process.
    bool was_hit = true;
    for (std::uint64_t n = 4; was_hit; n += 7) {
        test::BackupRun run;
        fill(run);
        CAPTURE(n);
        was_hit = run_with_fault(run, n);
        for (const std::string& label : repository::list_labels(*run.first.repository, kStanza)) {
            run.first.storage->remove(repository::lease_path(kStanza, label));
        }
        run.check_complete(run.run().label);
    }
}

TEST_CASE("faults while several workers write leave no half backup", "[engine][backup][bug-45]")
{
    for (std::uint64_t n = 8; n < 60; n += 3) {
        test::BackupRun run;
        fill(run);
        run.backup.workers = 4;
        CAPTURE(n);
        run_with_fault(run, n);
    }
}
