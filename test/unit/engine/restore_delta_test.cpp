// SPDX-License-Identifier: PostgreSQL
#include "support/file_mode.hpp"
#include "support/matchers.hpp"
#include "unit/engine/restorable.hpp"

#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <csignal>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::mode_of;
using pgstrata::test::Restorable;
using pgstrata::test::snapshot;
using pgstrata::test::WarningLog;
using pgstrata::test::write_text_file;
using repository::RecoveryType;
namespace fs = std::filesystem;

namespace {

// A backup, and the cluster that it was restored to, for a test to damage.
struct Restored : Restorable {
    Restored()
    {
        manifest.header.copy_time = now_nanoseconds() + 60'000000000;
        store_all();
        restore();
        expected = snapshot(target);
        options.is_delta = true;
    }

    // Byte by byte what the restore before had left; the time in its settings is another one.
    void check_restored() const
    {
        auto wanted = expected;
        auto found = snapshot(target);
        wanted.erase("postgresql.auto.conf");
        CHECK(found.erase("postgresql.auto.conf") == 1);
        CHECK((found == wanted));
    }

    // A cluster that ran on after it was restored.
    void damage() const
    {
        std::string relation = restored("base/5/16384");
        relation[100] ^= 1;
        relation[1000000] ^= 1;
        write_text_file(target + "/base/5/16384", relation);
        fs::remove(target + "/base/5/16385");
        fs::resize_file(target + "/pg_xact/0000", 200000);
        write_text_file(target + "/base/5/9999", "new");
        write_text_file(target + "/pg_wal/000000010000000000000009", "new");
        fs::remove(target + "/global/1262");
        write_text_file(target + "/global/1262/sub/file", "a directory");
        fs::permissions(target + "/PG_VERSION", fs::perms(0644));
        fs::permissions(target + "/base", fs::perms(0711));
        fs::remove(target + "/recovery.signal");
        write_text_file(target + "/standby.signal", "");
    }

    std::map<std::string, std::string> expected;
};

} // namespace

TEST_CASE_METHOD(Restored,
                 "a delta over the restored cluster fetches its settings only",
                 "[restore][delta]")
{
    const RestoreReport result = restore();
    CHECK(result.is_delta);
    const std::uint64_t settings = file("postgresql.auto.conf").size;
    const std::uint64_t control = postgres::kControlFileSize;
    CHECK(result.bytes_fetched == settings);
    CHECK(result.bytes_kept == result.bytes - settings - control);
    CHECK(result.bytes_compared == result.bytes - settings - control);
    check_restored();
}

TEST_CASE_METHOD(Restored, "a delta brings a changed cluster back", "[restore][delta][bug-35]")
{
    options.workers = GENERATE(1U, 3U);
    damage();
    const RestoreReport result = restore();
    check_restored();
    CHECK(mode_of(target + "/PG_VERSION") == mode_of(source / "PG_VERSION"));
    CHECK(mode_of(target + "/base") == mode_of(source / "base"));
    const std::uint64_t fetched = 2 * 8192 + 3 * 8192 + 300000 + 8192;
    CHECK(result.bytes_fetched == fetched + file("postgresql.auto.conf").size);
    CHECK_FALSE(is_there(std::string(kRestoreMarker)));
}

TEST_CASE_METHOD(Restored,
                 "a delta never writes through links of the old cluster",
                 "[restore][delta][bug-52]")
{
    write_text_file(base / "elsewhere/16385", "precious");
    write_text_file(base / "elsewhere/pg_control", "precious");
    const std::string place = GENERATE("base/5", "base/5/16385", "pg_notify", "global");
    CAPTURE(place);
    fs::remove_all(target + "/" + place);
    fs::create_symlink(place == "base/5/16385" ? base / "elsewhere/16385" : base / "elsewhere",
                       target + "/" + place);
    restore();
    check_restored();
    CHECK(test::names_below(base / "elsewhere") == "16385 pg_control");
    CHECK(read_text_file(base / "elsewhere/16385") == "precious");
    CHECK(read_text_file(base / "elsewhere/pg_control") == "precious");
}

TEST_CASE_METHOD(Restored, "tablespaces and links are kept and mended", "[restore][delta][bug-7]")
{
    fs::remove_all(target);
    options.is_delta = false;
    options.layout.link_map = {{"pg_xact", base / "xact"}, {"PG_VERSION", base / "etc/version"}};
    restore();
    expected = snapshot(target);
    options.is_delta = true;
    SECTION("as they are") {}
    SECTION("a link that leads elsewhere")
    {
        fs::remove(target + "/pg_xact");
        fs::create_directory_symlink(base / "other", target + "/pg_xact");
    }
    SECTION("other things behind them")
    {
        write_text_file(base / "xact/0001", "x");
        write_text_file(base / "etc/version", "99");
    }
    restore();
    check_restored();
    CHECK(test::names_below(base / "xact") == "0000");
    CHECK((read_text_file(base / "xact/0000") == read_text_file(source / "pg_xact/0000")));
    CHECK(read_text_file(base / "etc/version") == "15\n");
}

TEST_CASE_METHOD(Restored,
                 "a delta needs a sign of a cluster, else the directory must be empty",
                 "[restore][delta][bug-35]")
{
    const WarningLog warnings;
    options.is_forced = GENERATE(false, true);
    fs::remove(target + "/PG_VERSION");
    const auto before = snapshot(target);
    CHECK_THROWS_MATCHES(restore(), Error, HasCode(ErrorCode::path_not_empty));
    CHECK((snapshot(target) == before));
    CHECK_THAT(warnings.text(),
               Catch::Contains(options.is_forced ? "--delta and --force are ignored"
                                                 : "--delta is ignored"));

    fs::remove_all(target);
    const RestoreReport result = restore();
    CHECK_FALSE(result.is_delta);
    CHECK(result.bytes_kept == 0);
    check_restored();
}

TEST_CASE_METHOD(Restored,
                 "force trusts size and time, but not after a restore that was cut off",
                 "[restore][delta][bug-9]")
{
    options.is_forced = true;
    const std::string path = target + "/pg_xact/0000";
    const auto time = fs::last_write_time(path);
    write_text_file(path, std::string(300000, 'x'));
    fs::last_write_time(path, time);
    SECTION("trusted")
    {
        CHECK(restore().bytes_compared < 1000);
        CHECK(restored("pg_xact/0000") == std::string(300000, 'x'));
    }
    SECTION("not trusted")
    {
        write_text_file(target + "/" + std::string(kRestoreMarker), "");
        CHECK(restore().bytes_compared > 300000);
        check_restored();
    }
}

TEST_CASE_METHOD(Restored, "force without delta writes everything anew", "[restore][delta]")
{
    options.is_delta = false;
    options.is_forced = true;
    const RestoreReport result = restore();
    CHECK_FALSE(result.is_delta);
    CHECK(result.bytes_kept == 0);
    CHECK(result.bytes_fetched == result.bytes - postgres::kControlFileSize);
}

TEST_CASE_METHOD(Restored, "a delta preserves the recovery files too", "[restore][delta][bug-39]")
{
    write_text_file(target + "/postgresql.auto.conf", "recovery_target_xid = '9'\n");
    write_text_file(target + "/standby.signal", "");
    fs::remove(target + "/recovery.signal");
    set_target(RecoveryType::preserve);
    restore();
    CHECK(restored("postgresql.auto.conf") == "recovery_target_xid = '9'\n");
    CHECK(is_there("standby.signal"));
    CHECK_FALSE(is_there("recovery.signal"));
}

TEST_CASE_METHOD(Restored,
                 "a delta that is cut off leaves no pg_control and can be repeated",
                 "[restore][delta][bug-37]")
{
    options.workers = GENERATE(1U, 3U);
    std::uint64_t failures = 0;
    for (std::uint64_t fail_at = 1;; ++fail_at) {
        CAPTURE(fail_at);
        damage();
        const auto before = snapshot(target);
        storage::FaultPlan plan;
        const auto failing = storage::make_failing_storage(*storage, plan);
        const auto opened = repository::Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = fail_at;
        plan.code = ErrorCode::file_read;
        try {
            restore_from({{1, opened.get()}});
            CHECK(plan.count < fail_at); // it went through since nothing failed
            check_restored();
            break;
        } catch (const Error&) {
            ++failures;
        }
        const bool is_untouched = snapshot(target) == before;
        const bool is_ours = is_there(std::string(kRestoreMarker)) && !has_control_file();
        REQUIRE((is_untouched || is_ours));
        restore();
        check_restored();
    }
    CHECK(failures > 20);
}

TEST_CASE_METHOD(Restored,
                 "a delta that a signal stops leaves no pg_control",
                 "[restore][delta][bug-37][bug-57]")
{
    const RestorePlan planned = plan();
    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(carry_out(planned), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    CHECK_FALSE(has_control_file());
    restore();
    check_restored();
}
