// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/restorable.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::kRestoreStanza;
using pgstrata::test::Restorable;
using pgstrata::test::snapshot;
using repository::RecoveryType;
namespace fs = std::filesystem;

namespace {

// What is refused must be refused before anything is touched, even with force.
struct RefusedRestore : Restorable {
    RefusedRestore() { options.is_forced = true; }

    void check_refused(ErrorCode code)
    {
        make_old_cluster();
        const auto before = snapshot(target);
        CHECK_THROWS_MATCHES(restore(), Error, HasCode(code));
        CHECK((snapshot(target) == before));
        CHECK(test::names_below(base.path()) == "data");
    }

    void remove_objects(const std::string& directory) const
    {
        std::vector<std::string> paths;
        storage::list_recursively(*storage, directory, [&](const storage::EntryInfo& entry) {
            paths.push_back(entry.name);
        });
        REQUIRE_FALSE(paths.empty());
        for (const std::string& path : paths) {
            storage->remove(path);
        }
    }

    void flip(const std::string& path, std::size_t at) const
    {
        Buffer bytes = read_object(path);
        bytes.span()[at] ^= std::byte{1};
        replace_object(path, bytes);
    }
};

} // namespace

TEST_CASE_METHOD(RefusedRestore, "a running server is refused", "[restore][bug-35]")
{
    store_all();
    test::write_text_file(target + "/postmaster.pid", "1");
    check_refused(ErrorCode::pg_running);
}

TEST_CASE_METHOD(RefusedRestore,
                 "a backup whose packs are not all there is refused",
                 "[restore][bug-37][bug-47]")
{
    store_all();
    const std::string directory = repository::pack_path(kRestoreStanza, manifest.header.label);
    SECTION("missing")
    {
        remove_objects(directory);
    }
    SECTION("cut off")
    {
        const std::string pack = repository::pack_path(kRestoreStanza, manifest.header.label, 0);
        Buffer bytes = read_object(pack);
        bytes.resize(bytes.size() - 1);
        replace_object(pack, bytes);
    }
    check_refused(ErrorCode::file_missing);
}

TEST_CASE_METHOD(RefusedRestore,
                 "without a fitting backup the restore is refused",
                 "[restore][bug-40]")
{
    store_all();
    SECTION("none of the label")
    {
        options.set = "20261120-020000F";
    }
    SECTION("none at all")
    {
        storage->remove(repository::summary_path(kRestoreStanza, manifest.header.label));
    }
    SECTION("nor a stanza")
    {
        options.stanza = "other";
    }
    SECTION("none before the time")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = manifest.header.stop_time * 1000000;
    }
    SECTION("none before the lsn")
    {
        set_target(RecoveryType::lsn, "0/3000FF");
        options.target.lsn = postgres::Lsn{0x3000FF};
    }
    check_refused(ErrorCode::backup_set_invalid);
}

TEST_CASE_METHOD(RefusedRestore,
                 "a backup named by its label must fit the target too",
                 "[restore][bug-21][bug-40]")
{
    store_all();
    options.set = manifest.header.label;
    SECTION("the timeline")
    {
        options.target.follow = repository::RecoveryTarget::Follow::number;
        options.target.timeline = 2;
        check_refused(ErrorCode::db_mismatch);
    }
    SECTION("the latest timeline")
    {
        test::archive_file(*repository,
                           manifest.header.archive_id,
                           "00000002.history",
                           as_bytes("1\t0/100000\tleft before the backup\n"));
        options.target.follow = repository::RecoveryTarget::Follow::latest;
        check_refused(ErrorCode::db_mismatch);
    }
    SECTION("the lsn")
    {
        set_target(RecoveryType::lsn, "0/300010");
        options.target.lsn = postgres::Lsn{0x300010};
        check_refused(ErrorCode::backup_set_invalid);
    }
}

TEST_CASE_METHOD(RefusedRestore,
                 "targets that the archive does not reach are refused",
                 "[restore][bug-40]")
{
    store_all();
    SECTION("the time of the last commit, which is not before it")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit;
    }
    SECTION("a time after the last commit, to stop before it")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit + 1;
        options.target.is_exclusive = true;
    }
    SECTION("an lsn in a segment that is not there")
    {
        set_target(RecoveryType::lsn, "0/400000");
        options.target.lsn = postgres::Lsn{0x400000};
    }
    check_refused(ErrorCode::backup_set_invalid);
}

TEST_CASE_METHOD(RefusedRestore, "a backup without its WAL is refused", "[restore][bug-20]")
{
    store_all();
    remove_objects("archive/demo/15-1/0000000100000000");
    SECTION("where recovery needs it")
    {
        check_refused(ErrorCode::file_missing);
    }
    SECTION("but not when it comes from elsewhere")
    {
        options.settings.options = {{"restore-command", "cp /wal/%f %p"}};
        restore();
    }
    SECTION("nor when there is no recovery")
    {
        set_target(RecoveryType::none);
        restore();
    }
}

TEST_CASE_METHOD(RefusedRestore, "a damaged backup is refused", "[restore][bug-47][bug-58]")
{
    store_all();
    const std::string& label = manifest.header.label;
    SECTION("its manifest")
    {
        flip(repository::manifest_path(kRestoreStanza, label), 200);
        check_refused(ErrorCode::checksum);
    }
    SECTION("its manifest is lost")
    {
        storage->remove(repository::manifest_path(kRestoreStanza, label));
        check_refused(ErrorCode::file_missing);
    }
    SECTION("its pg_control, though that is written last")
    {
        const std::string pack = repository::pack_path(kRestoreStanza, label, 1);
        flip(pack, read_object(pack).size() / 2);
        check_refused(ErrorCode::checksum);
    }
    SECTION("the stanza's identity")
    {
        for (const std::string& path : repository::cluster_paths(kRestoreStanza, {15, 1})) {
            storage->remove(path);
        }
        check_refused(ErrorCode::file_missing);
    }
}

TEST_CASE_METHOD(RefusedRestore, "a backup without a pg_control is refused", "[restore][bug-37]")
{
    store_files();
    std::erase_if(manifest.files,
                  [](const auto& each) { return each.path == postgres::kControlFilePath; });
    commit();
    set_target(RecoveryType::none);
    check_refused(ErrorCode::file_missing);
}

TEST_CASE_METHOD(RefusedRestore,
                 "a pg_control that no server wrote is refused",
                 "[restore][bug-54]")
{
    store_files();
    // The bytes of another file, with the digest to match.
    const repository::ManifestFile other = file("pg_xact/0000");
    repository::ManifestFile& control = file(postgres::kControlFilePath);
    control.size = other.size;
    control.digest = other.digest;
    control.extents = other.extents;
    commit();
    set_target(RecoveryType::none);
    check_refused(ErrorCode::checksum);
}

TEST_CASE_METHOD(RefusedRestore, "a manifest without directories is refused", "[restore][bug-54]")
{
    store_files();
    manifest.directories.clear();
    commit();
    set_target(RecoveryType::none);
    check_refused(ErrorCode::format);
}

TEST_CASE_METHOD(RefusedRestore,
                 "a backup of a cluster generation whose identity is lost is refused",
                 "[restore][bug-47]")
{
    store_all();
    repository::Cluster newer;
    newer.id = {15, 2};
    newer.system_identifier = 7000000000000000002U;
    newer.page_size = 8192;
    newer.wal_segment_size = 1U << 20U;
    repository::write_cluster(*repository, kRestoreStanza, newer);
    SECTION("one of an older generation is not taken by itself")
    {
        check_refused(ErrorCode::backup_set_invalid);
    }
    SECTION("nor by its label when the archive does not know it")
    {
        for (const std::string& path : repository::cluster_paths(kRestoreStanza, {15, 1})) {
            storage->remove(path);
        }
        options.set = manifest.header.label;
        check_refused(ErrorCode::file_missing);
    }
}

TEST_CASE_METHOD(RefusedRestore, "options that do not fit are refused", "[restore][bug-39]")
{
    store_all();
    SECTION("a recovery option that servers no longer know")
    {
        options.settings.options = {{"standby_mode", "on"}};
        check_refused(ErrorCode::option_invalid);
    }
    SECTION("a tablespace that the backup does not have")
    {
        options.layout.tablespace_map = {{"other", base / "other"}};
        check_refused(ErrorCode::tablespace_map);
    }
    SECTION("a link into the data directory")
    {
        options.layout.link_map = {{"pg_xact", target + "/elsewhere"}};
        check_refused(ErrorCode::link_destination);
    }
    SECTION("a database that the backup does not have")
    {
        options.layout.db_include = {"nothing"};
        check_refused(ErrorCode::db_missing);
    }
}

TEST_CASE_METHOD(RefusedRestore, "what is in the way is refused without force", "[restore][bug-35]")
{
    store_all();
    options.is_forced = false;
    check_refused(ErrorCode::path_not_empty);
}

TEST_CASE_METHOD(RefusedRestore,
                 "a timeline that no backup reaches is the reason that is given",
                 "[restore][bug-21]")
{
    store_all();
    test::archive_file(*repository,
                       manifest.header.archive_id,
                       "00000002.history",
                       as_bytes("1\t0/100000\tleft before the backup\n"));
    using Follow = repository::RecoveryTarget::Follow;
    options.target.follow = GENERATE(Follow::number, Follow::latest);
    options.target.timeline = 77;
    check_refused(ErrorCode::db_mismatch);
}

TEST_CASE_METHOD(Restorable,
                 "a backup whose summary is damaged does not keep the others from being restored",
                 "[restore][bug-47]")
{
    store_all();
    const std::string newer = "20991231-000000F";
    storage::write_file(*storage, repository::summary_path(kRestoreStanza, newer), as_bytes("{"));

    CHECK(restore().label == manifest.header.label);
}

namespace {

struct DamagedHistory : RefusedRestore {
    DamagedHistory()
    {
        store_all();
        archive("00000002.history", "cut off");
    }

    void archive(const std::string& name, const std::string& text) const
    {
        test::archive_file(*repository, manifest.header.archive_id, name, as_bytes(text));
    }

    void follow(postgres::Timeline timeline)
    {
        options.target.follow = repository::RecoveryTarget::Follow::number;
        options.target.timeline = timeline;
    }
};

} // namespace

TEST_CASE_METHOD(DamagedHistory,
                 "a damaged history is refused where it may be the one to follow",
                 "[restore][bug-21][bug-47]")
{
    SECTION("to the end of the archive") {}
    SECTION("to a time")
    {
        set_target(RecoveryType::time, "then");
        options.target.time = kLastCommit - 1;
    }
    SECTION("as a standby")
    {
        set_target(RecoveryType::standby);
    }
    SECTION("because it is asked for")
    {
        follow(2);
    }
    SECTION("because it is asked for, from a backup that is named")
    {
        follow(2);
        options.set = manifest.header.label;
    }
    SECTION("among sound ones, which are older")
    {
        archive("0000000A.history", "1\t0/400000\tno reason\n");
        archive("0000000B.history", "nonsense");
    }
    check_refused(ErrorCode::format);
}

TEST_CASE_METHOD(DamagedHistory,
                 "a damaged history does not stop a restore that follows another timeline",
                 "[restore][bug-21][bug-47]")
{
    std::string timeline = "1";
    SECTION("that is named")
    {
        follow(1);
    }
    SECTION("that of the backup")
    {
        options.target.follow = repository::RecoveryTarget::Follow::current;
    }
    SECTION("since it ends with the backup")
    {
        set_target(RecoveryType::immediate);
    }
    SECTION("since it is a newer one")
    {
        archive("00000003.history", "1\t0/400000\tno reason\n");
        timeline = "3";
    }
    SECTION("since there is no recovery")
    {
        set_target(RecoveryType::none);
        timeline.clear();
    }
    CHECK(plan().recovery.settings.target_timeline == timeline);
    restore();
    CHECK(has_control_file());
}
