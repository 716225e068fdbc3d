// SPDX-License-Identifier: PostgreSQL
#include "support/file_mode.hpp"
#include "support/matchers.hpp"
#include "unit/engine/restorable.hpp"

#include "pgstrata/engine/restore_target.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <array>
#include <csignal>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::mode_of;
using pgstrata::test::Restorable;
using pgstrata::test::snapshot;
using pgstrata::test::TemporaryDirectory;
using repository::RecoveryType;
namespace fs = std::filesystem;

namespace {

// What of the source must be found in the target: all but what the restore writes itself.
void check_restored(const Restorable& backup)
{
    auto expected = snapshot(backup.source.path());
    auto found = snapshot(backup.target);
    for (const std::string name : {"postgresql.auto.conf", "backup_label", "recovery.signal"}) {
        expected.erase(name);
        found.erase(name);
    }
    CHECK(found.erase("global/pg_control") == 1);
    CHECK((found == expected));
}

} // namespace

TEST_CASE_METHOD(Restorable, "a restore brings everything back", "[restore]")
{
    store_all();
    options.workers = GENERATE(1U, 3U);
    const RestoreReport result = restore();
    CHECK(result.label == manifest.header.label);
    CHECK(result.repo_index == 1);
    CHECK(result.files == manifest.files.size());
    check_restored(*this);
    CHECK(mode_of(target) == 0700);
    CHECK(restored("backup_label") == manifest.header.backup_label);
    CHECK(restored("recovery.signal").empty());
    CHECK_FALSE(is_there(std::string(kRestoreMarker)));
    const std::string conf = restored("postgresql.auto.conf");
    CHECK_THAT(conf, Catch::StartsWith("work_mem = '8MB'\n# Removed by pgstrata restore"));
    CHECK_THAT(conf, Catch::Contains("\nrestore_command = 'pgstrata archive-get"));
    CHECK_THAT(conf, Catch::Contains("\nrecovery_target_timeline = '1'\n"));
}

TEST_CASE_METHOD(Restorable,
                 "the pg_control of an online backup cannot start without its backup_label",
                 "[restore][bug-37]")
{
    store_all();
    restore();
    const std::string bytes = restored("global/pg_control");
    const auto control = postgres::parse_control_file(as_bytes(bytes));
    CHECK(control.checkpoint == postgres::kPoisonCheckpoint);
    CHECK(control.system_identifier == manifest.header.system_identifier);
}

namespace {

// Of a server that was shut down with a checkpoint at 0/300098.
struct OfflineRestorable : Restorable {
    OfflineRestorable()
    {
        repository::ManifestHeader& header = manifest.header;
        header.is_online = false;
        header.start_lsn = header.stop_lsn = {};
        header.start_wal = header.stop_wal = header.backup_label = "";
        store_all();
    }

    void ask_for(RecoveryType type, const std::string& text = {})
    {
        set_target(type, text);
        options.is_type_given = true;
    }

    void archive_history(const std::string& switch_point) const
    {
        test::archive_file(*repository,
                           manifest.header.archive_id,
                           "00000002.history",
                           as_bytes("1\t" + switch_point + "\tno reason\n"));
    }
};

} // namespace

TEST_CASE_METHOD(OfflineRestorable, "an offline backup starts by itself", "[restore][bug-39]")
{
    restore();
    CHECK(restored("global/pg_control") == test::control_file_text());
    CHECK_FALSE(is_there("backup_label"));
    CHECK_FALSE(is_there("recovery.signal"));
    CHECK_THAT(restored("postgresql.auto.conf"), !Catch::Contains("restore_command"));
}

TEST_CASE_METHOD(OfflineRestorable,
                 "an offline backup recovers to the end of the archive when that is asked for",
                 "[restore][bug-39]")
{
    ask_for(RecoveryType::standard);
    restore();
    CHECK(restored("recovery.signal").empty());
    CHECK_THAT(restored("postgresql.auto.conf"), Catch::Contains("\nrestore_command = "));
}

TEST_CASE_METHOD(OfflineRestorable,
                 "recovery from an offline backup follows a timeline that was checked",
                 "[restore][bug-21][bug-39]")
{
    SECTION("its own, which is its end")
    {
        archive_history("0/400000");
        ask_for(RecoveryType::immediate);
        CHECK(plan().recovery.settings.target_timeline == "1");
    }
    SECTION("the newest")
    {
        archive_history("0/400000");
        ask_for(RecoveryType::xid, "7");
        CHECK(plan().recovery.settings.target_timeline == "2");
    }
    SECTION("the newest that was not left before the shutdown")
    {
        archive_history("0/300098");
        ask_for(RecoveryType::xid, "7");
        CHECK(plan().recovery.settings.target_timeline == "1");
    }
    SECTION("the one that is asked for")
    {
        archive_history("0/300099");
        ask_for(RecoveryType::standard);
        options.set = manifest.header.label;
        options.target.follow = repository::RecoveryTarget::Follow::number;
        options.target.timeline = 2;
        CHECK(plan().recovery.settings.target_timeline == "2");
    }
}

TEST_CASE_METHOD(OfflineRestorable,
                 "a target that recovery from an offline backup cannot reach is refused",
                 "[restore][bug-21][bug-40]")
{
    options.set = manifest.header.label;
    SECTION("a timeline that was left before the shutdown")
    {
        archive_history("0/300098");
        ask_for(RecoveryType::standard);
        options.target.follow = repository::RecoveryTarget::Follow::number;
        options.target.timeline = 2;
        CHECK_THROWS_MATCHES(plan(), Error, HasCode(ErrorCode::db_mismatch));
    }
    SECTION("an lsn before the shutdown")
    {
        ask_for(RecoveryType::lsn, "0/300060");
        options.target.lsn = postgres::Lsn{0x300060};
        CHECK_THROWS_MATCHES(plan(), Error, HasCode(ErrorCode::backup_set_invalid));
    }
    SECTION("an lsn behind all there is")
    {
        ask_for(RecoveryType::lsn, "0/500000");
        options.target.lsn = postgres::Lsn{0x500000};
        CHECK_THROWS_MATCHES(plan(), Error, HasCode(ErrorCode::backup_set_invalid));
    }
}

TEST_CASE_METHOD(Restorable, "tablespaces and links are made where they belong", "[restore][bug-7]")
{
    const TemporaryDirectory elsewhere;
    test::write_text_file(elsewhere / "ts/PG_15_202209061/5/16390", std::string(8192, 'x'));
    fs::create_directories(source / "pg_tblspc");
    fs::create_directory_symlink(elsewhere / "ts", source / "pg_tblspc/16400");
    test::write_text_file(elsewhere / "conf/demo.conf", "port = 5433\n");
    fs::create_symlink(elsewhere / "conf/demo.conf", source / "postgresql.conf");
    store_all();
    options.layout.tablespace_map = {{"16400", base / "moved"}};
    options.layout.link_map = {{"postgresql.conf", "../etc/demo.conf"}, {"pg_xact", base / "xact"}};
    restore();
    CHECK(fs::read_symlink(target + "/pg_tblspc/16400") == base / "moved");
    CHECK(read_text_file(base / "moved/PG_15_202209061/5/16390") == std::string(8192, 'x'));
    CHECK(fs::read_symlink(target + "/postgresql.conf") == "../etc/demo.conf");
    CHECK(read_text_file(base / "etc/demo.conf") == "port = 5433\n");
    CHECK(fs::read_symlink(target + "/pg_xact") == base / "xact");
    CHECK(fs::file_size(base / "xact/0000") == 300000);
    CHECK(read_text_file(elsewhere / "conf/demo.conf") == "port = 5433\n");
}

TEST_CASE_METHOD(Restorable,
                 "directories that their owner may not write to are restored, and so again",
                 "[restore]")
{
    add("certs/server.crt", "certificate");
    add("certs/private/server.key", "key");
    const std::array<std::pair<std::string, unsigned>, 3> closed = {
        {{"certs/private", 0000}, {"certs", 0550}, {"global", 0500}}};
    store_files();
    for (const auto& [path, mode] : closed) {
        std::ranges::find(manifest.directories, path, &repository::ManifestDirectory::path)->mode =
            mode;
    }
    commit();
    archive_wal(*repository, manifest.header.archive_id);
    for (const bool is_delta : {false, true}) {
        options.is_delta = is_delta;
        restore();

        CHECK(mode_of(target + "/certs") == 0550);
        CHECK(mode_of(target + "/global") == 0700); // no server could use it otherwise
        fs::permissions(target + "/certs", fs::perms::owner_all);
        CHECK(mode_of(target + "/certs/private") == 0000);
        fs::permissions(target + "/certs/private", fs::perms::owner_all);
        check_restored(*this);
        fs::permissions(target + "/certs/private", fs::perms::none);
        fs::permissions(target + "/certs", fs::perms(0550));
    }
    fs::permissions(target + "/certs", fs::perms::owner_all);
}

TEST_CASE_METHOD(Restorable, "force leaves nothing of the old cluster", "[restore][bug-35]")
{
    store_all();
    make_old_cluster();
    options.is_forced = true;
    restore();
    check_restored(*this);
}

TEST_CASE_METHOD(Restorable,
                 "preserve keeps the recovery files that are there",
                 "[restore][bug-39]")
{
    store_all();
    make_old_cluster();
    test::write_text_file(target + "/postgresql.auto.conf", "recovery_target_xid = '9'\n");
    test::write_text_file(target + "/standby.signal", "");
    set_target(RecoveryType::preserve);
    options.is_forced = true;
    restore();
    CHECK(restored("postgresql.auto.conf") == "recovery_target_xid = '9'\n");
    CHECK(is_there("standby.signal"));
    CHECK_FALSE(is_there("recovery.signal"));
    CHECK(restored("backup_label") == manifest.header.backup_label);
    CHECK_FALSE(is_there("junk"));
}

// The heart of it: wherever the repository fails, nothing that could start is left behind.
TEST_CASE_METHOD(Restorable,
                 "a restore that is cut off leaves no pg_control and can be repeated",
                 "[restore][bug-37]")
{
    options.workers = GENERATE(1U, 3U);
    const bool has_old_cluster = GENERATE(false, true);
    store_all();
    std::uint64_t failures = 0;
    for (std::uint64_t fail_at = 1;; ++fail_at) {
        CAPTURE(fail_at, has_old_cluster);
        fs::remove_all(target);
        if (has_old_cluster) {
            make_old_cluster();
        }
        const auto before = snapshot(target);
        options.is_forced = has_old_cluster;

        storage::FaultPlan plan;
        const auto failing = storage::make_failing_storage(*storage, plan);
        const auto opened = repository::Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = fail_at;
        plan.code = ErrorCode::file_read;
        try {
            restore_from({{1, opened.get()}});
            CHECK(plan.count < fail_at); // it went through since nothing failed
            check_restored(*this);
            break;
        } catch (const Error&) {
            ++failures;
        }
        const bool is_untouched = snapshot(target) == before;
        const bool is_ours = is_there(std::string(kRestoreMarker)) && !has_control_file();
        REQUIRE((is_untouched || is_ours));

        options.is_forced = true;
        restore();
        check_restored(*this);
    }
    CHECK(failures > 20);
}

TEST_CASE_METHOD(Restorable,
                 "a restore that is stopped by a signal leaves no pg_control",
                 "[restore][bug-37][bug-57]")
{
    store_all();
    make_old_cluster();
    options.is_forced = true;
    report = [](std::uint64_t, std::uint64_t) { set_pending_signal(SIGTERM); };
    CHECK_THROWS_MATCHES(restore(), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    CHECK_FALSE(has_control_file());
    report = {};
    restore();
    check_restored(*this);
}

TEST_CASE_METHOD(Restorable,
                 "a restore that is stopped while it plans has touched nothing",
                 "[restore][restore-plan][bug-37][bug-57]")
{
    store_all();
    make_old_cluster();
    options.is_forced = true;
    set_pending_signal(SIGINT);
    CHECK_THROWS_MATCHES(restore(), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    CHECK(has_control_file());
    CHECK(is_there("junk"));
}

TEST_CASE_METHOD(Restorable,
                 "a plan goes on after a problem and keeps the first in front",
                 "[restore][restore-plan]")
{
    store_all();
    make_old_cluster();
    test::write_text_file(target + "/postmaster.pid", "1");
    options.set = GENERATE("", "20200101-000000F");
    const auto planned = [&] {
        return plan_restore(options, {{1, repository.get()}}, OnProblem::go_on);
    };

    if (!options.set.empty()) {
        // There is nothing to plan with; the restore would not even look.
        CHECK_THROWS_MATCHES(planned(), Error, HasCode(ErrorCode::pg_running));
        return;
    }
    const RestorePlan result = planned();
    REQUIRE(result.problems.size() == 2);
    CHECK(result.problems.at(0).code() == ErrorCode::pg_running);
    CHECK(result.problems.at(1).code() == ErrorCode::path_not_empty);
    CHECK(result.backup.label == manifest.header.label);
    CHECK_FALSE(result.survey.has_value());
    CHECK_THROWS_MATCHES(restore(), Error, HasCode(ErrorCode::pg_running));
}

TEST_CASE_METHOD(Restorable,
                 "a restore that is stopped while it clears is known as ours afterwards",
                 "[restore][bug-35][bug-37]")
{
    store_all();
    make_old_cluster();
    options.is_forced = true;
    const RestorePlan planned = plan();
    set_pending_signal(SIGINT);
    CHECK_THROWS_MATCHES(carry_out(planned), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
    CHECK_FALSE(has_control_file());
    CHECK(is_there("junk"));
    restore();
    check_restored(*this);
}

TEST_CASE_METHOD(Restorable,
                 "a repository that cannot be read is passed over for the next",
                 "[restore]")
{
    store_all();
    storage::FaultPlan plan;
    const auto failing = storage::make_failing_storage(*storage, plan);
    const auto broken = repository::Repository::open(*failing, {});
    plan.count = 0;
    plan.fail_at = 1;
    plan.stay_broken = true;
    CHECK(restore_from({{1, broken.get()}, {4, repository.get()}}).repo_index == 4);
    check_restored(*this);
}

TEST_CASE_METHOD(Restorable, "a backup of another repository is found by its label", "[restore]")
{
    store_all();
    const auto empty = storage::make_memory_storage();
    const auto other = repository::Repository::open_or_create(*empty, {});
    options.set = manifest.header.label;
    CHECK(restore_from({{1, other.get()}, {2, repository.get()}}).repo_index == 2);
}

TEST_CASE_METHOD(Restorable, "targets within the archive are accepted", "[restore][bug-40]")
{
    store_all();
    SECTION("a time before the last commit")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit - 1;
    }
    SECTION("the time of the last commit, to stop before it")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit;
        options.target.is_exclusive = true;
    }
    SECTION("an lsn in the last segment")
    {
        set_target(RecoveryType::lsn, "0/3FFFF0");
        options.target.lsn = postgres::Lsn{0x3FFFF0};
    }
    restore();
    CHECK_THAT(restored("postgresql.auto.conf"),
               Catch::Contains("'" + options.settings.target + "'"));
}
