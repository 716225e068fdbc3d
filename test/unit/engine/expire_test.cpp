// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "support/recorded_log.hpp"
#include "unit/engine/expire_fixture.hpp"

#include "pgstrata/repository/verify_record.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using namespace pgstrata::repository;

namespace {

constexpr ArchiveId kFirst{15, 1};

} // namespace

TEST_CASE("what the rules do not keep is removed with its WAL", "[engine][expire]")
{
    ExpireFixture site(GENERATE(CipherSetting(), gcm_setting()));
    site.builder.add_all("FDIF");
    site.write(50);
    const InfoLog log;

    const ExpireReport report = expire(site.options(keep_fulls(1)), *site.memory);

    CHECK(site.backups() == "F2");
    CHECK(site.segments() == "41-50");
    CHECK(report.backups == 3);
    CHECK(report.wal_files == 40);
    CHECK(list_labels(*site.memory, kStanza).size() == 1);
    CHECK(list_history(*site.memory, kStanza).size() == 3);
    const auto& label = [&](const char* name) { return site.builder.label(name); };
    CHECK_THAT(
        log.text(),
        Catch::Contains(fmt::format(
            "repo1: expire full backup set {}, {}, {}", label("F1"), label("D1"), label("I1"))) &&
            Catch::Contains("repo1: remove expired backup " + label("I1")) &&
            Catch::Contains("repo1: 15-1 remove archive, start = 000000010000000000000001, "
                            "stop = 000000010000000000000028"));
    SECTION("and a second run finds nothing to do")
    {
        const auto before = site.objects();
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.objects() == before);
    }
}

TEST_CASE("a dry run says the same and changes nothing", "[engine][expire]")
{
    ExpireFixture site;
    site.builder.add_all("FDIF");
    site.builder.upgrade();
    site.builder.add("F3", 0.5);
    site.write(50);
    site.put(pack_path(kStanza, "20200101-000000F", 0)); // aborted
    write_history(*site.memory, kStanza, site.builder.at("F3"));
    const auto before = site.objects();
    ExpireOptions options = site.options(keep_fulls(1));
    options.policy.history = 0;
    options.is_dry_run = true;
    const InfoLog log;

    const ExpireReport report = expire(options, *site.memory);

    CHECK(site.objects() == before);
    CHECK(report.backups == 4);
    CHECK(report.wal_files == 60);
    for (const auto* name : {"F1", "D1", "I1", "F2"}) {
        CHECK_THAT(log.text(),
                   Catch::Contains("repo1: remove expired backup " + site.builder.label(name)));
    }
    CHECK_THAT(log.text(),
               Catch::Contains("expire full backup") && Catch::Contains("remove archive, start") &&
                   Catch::Contains("remove archive path") &&
                   Catch::Contains("what is left of backup 20200101-000000F"));
}

TEST_CASE("the WAL that older backups need stays between what goes", "[engine][expire]")
{
    ExpireFixture site("FFF", 40);
    RetentionPolicy policy;
    policy.archive = 1;
    expire(site.options(policy), *site.memory);
    CHECK(site.backups() == "F1 F2 F3");
    CHECK(site.segments() == "11-12 21-22 31-40");
}

TEST_CASE("history files, partial segments and records of dropped WAL go with the WAL",
          "[engine][expire]")
{
    ExpireFixture site;
    site.builder.add("F1", 3);
    site.builder.switch_timeline();
    site.builder.switch_timeline();
    site.builder.add("F2", 2);
    site.write(12);
    for (const auto* name : {"00000002.history",
                             "00000003.history",
                             "000000010000000000000013.partial",
                             "00000001000000000000000B.00000028.backup",
                             "000000020000000000000013",
                             "000000030000000000000001",
                             "000000030000000000000015",
                             "000000030000000000000016"}) {
        site.write_wal(kFirst, name);
    }
    write_gap(*site.memory, kStanza, kFirst, {"000000010000000000000014", "full", 1, "h"});
    write_gap(*site.memory, kStanza, kFirst, {"000000030000000000000017", "full", 1, "h"});

    expire(site.options(keep_fulls(1)), *site.memory);

    const std::string archive = archive_path(kStanza, kFirst);
    CHECK(names_in(*site.memory.storage, archive) ==
          std::vector<std::string>{"00000003.history-" + std::string(40, 'a') + ".zst",
                                   "0000000300000000",
                                   "cluster.json",
                                   "gap"});
    CHECK(names_in(*site.memory.storage, archive + "/0000000300000000").size() == 2);
    CHECK(names_in(*site.memory.storage, gap_path(kStanza, kFirst)) ==
          std::vector<std::string>{"000000030000000000000017.json"});
}

TEST_CASE("the archive of a generation without backups goes, but for the current one",
          "[engine][expire][bug-29]")
{
    ExpireFixture site;
    site.builder.add("F1", 3);
    site.builder.upgrade();
    site.builder.add("F2", 2);
    site.builder.upgrade();
    site.write(12);
    SECTION("with the description of its cluster")
    {
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(list_clusters(*site.memory, kStanza).size() == 2);
        CHECK(names_in(*site.memory.storage, archive_path(kStanza, kFirst)).empty());
        CHECK(site.segments({16, 2}) == "11-12");
        CHECK(site.segments({16, 3}) == "1-12");
    }
    SECTION("unless there is something else in it")
    {
        site.put(archive_path(kStanza, kFirst) + "/mine");
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(list_clusters(*site.memory, kStanza).size() == 3);
        CHECK(site.segments(kFirst).empty());
    }
}

TEST_CASE("a new repository keeps its WAL until it has its backups", "[engine][expire][bug-30]")
{
    ExpireFixture site;
    site.builder.add_all(GENERATE("", "F"));
    site.write(20);
    const auto before = site.objects();
    const InfoLog log;
    expire(site.options(keep_fulls(2)), *site.memory);
    CHECK(site.objects() == before);
    CHECK_THAT(log.text(), Catch::Contains("fewer backups than archive retention wants"));
}

TEST_CASE("WAL that was stored within the window is kept", "[engine][expire]")
{
    ExpireFixture site("FF", 30);
    RetentionPolicy policy = keep_fulls(1);
    policy.pitr = 60;
    expire(site.options(policy), *site.memory);
    CHECK(site.backups() == "F2");
    CHECK(site.segments() == "1-30");
}

TEST_CASE("a backup that cannot be read keeps its family, and is told of", "[engine][expire]")
{
    ExpireFixture site("FIFIF", 60);
    site.memory.flip(summary_path(kStanza, site.builder.label("I1")), 20);
    const WarningLog log;
    expire(site.options(keep_fulls(1)), *site.memory);
    CHECK(site.backups() == "F1 F3");
    CHECK(site.files_of("I1").size() == 3);
    CHECK(site.segments() == "11-60");
    CHECK_THAT(log.text(), Catch::Contains(site.builder.label("I1") + " cannot be read"));
}

TEST_CASE("nothing is removed in favour of a backup that cannot be restored",
          "[engine][expire][bug-32]")
{
    ExpireFixture site("FIFI", 50);
    const std::string label = site.builder.label("F2");
    SECTION("because its manifest is gone")
    {
        site.memory.storage->remove(manifest_path(kStanza, label));
    }
    SECTION("because its manifest is damaged")
    {
        site.memory.flip(manifest_path(kStanza, label), 150);
    }
    SECTION("because a pack is gone")
    {
        site.memory.storage->remove(pack_path(kStanza, label, 1));
    }
    SECTION("because a pack was cut")
    {
        site.memory.storage->remove(pack_path(kStanza, label, 0));
        storage::write_file(*site.memory.storage, pack_path(kStanza, label, 0), {});
    }
    SECTION("because verify has found damage")
    {
        VerifyRecord record;
        record.damage.add({.pack = {label, 1}, .problem = "bits"});
        write_verify_record(*site.memory, kStanza, record);
    }
    SECTION("because WAL from its start to its stop was found damaged")
    {
        VerifyRecord record;
        record.wal.emplace(site.wal_object(kFirst, site.builder.at("F2").stop_wal), "bits");
        write_verify_record(*site.memory, kStanza, record);
    }
    const WarningLog log;
    expire(site.options(keep_fulls(1)), *site.memory);
    CHECK(site.backups() == "F1 I1 F2 I2");
    CHECK(site.segments() == "11-50");
    CHECK_THAT(log.text(), Catch::Contains(label) && Catch::Contains("does not count"));
}

TEST_CASE("a backup without the WAL from its start to its stop does not count",
          "[engine][expire][bug-32]")
{
    ExpireFixture site("FF", 40);
    const std::string label = site.builder.label("F2");
    const std::string missing = site.builder.at("F2").start_wal;
    site.memory.storage->remove(site.wal_object(kFirst, missing));
    const WarningLog log;
    SECTION("when it is nowhere")
    {
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F1 F2");
        CHECK(site.segments() == "11-20 22-40");
        CHECK_THAT(log.text(), Catch::Contains(label) && Catch::Contains(missing));
    }
    SECTION("unless it holds that itself")
    {
        site.memory.storage->remove(manifest_path(kStanza, label));
        site.write_manifest(label, {sample_file("pg_wal/" + missing, 0)});
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F2");
    }
    SECTION("unless it was made offline")
    {
        BackupSummary& backup = site.builder.at("F2");
        backup.is_online = false;
        site.memory.storage->remove(summary_path(kStanza, label));
        write_summary(*site.memory, kStanza, backup);
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F2");
    }
}

TEST_CASE("no WAL is removed on the word of a backup that cannot be restored",
          "[engine][expire][bug-32]")
{
    const WarningLog log;
    SECTION("when no backup goes")
    {
        ExpireFixture site("FFFF", 50);
        site.memory.storage->remove(manifest_path(kStanza, site.builder.label("F3")));
        RetentionPolicy policy = keep_fulls(4);
        policy.archive = 2;
        expire(site.options(policy), *site.memory);
        CHECK(site.backups() == "F1 F2 F3 F4");
        CHECK(site.segments() == "11-12 21-50");
    }
    SECTION("when a backup stays only for want of a better one")
    {
        ExpireFixture site("FFF", 40);
        for (const auto* name : {"F1", "F2", "F3"}) {
            site.memory.storage->remove(manifest_path(kStanza, site.builder.label(name)));
        }
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F1 F2 F3");
        CHECK(site.segments() == "1-40");
    }
    CHECK_THAT(log.text(), Catch::Contains("does not count"));
}

TEST_CASE("what cannot be restored is not looked at when nothing goes", "[engine][expire]")
{
    ExpireFixture site("FF", 40);
    expire(site.options(keep_fulls(2)), *site.memory);
    site.memory.storage->remove(manifest_path(kStanza, site.builder.label("F2")));
    const WarningLog log;
    expire(site.options(keep_fulls(2)), *site.memory);
    CHECK(site.backups() == "F1 F2");
    CHECK(site.segments() == "11-40");
    CHECK_THAT(log.text(), !Catch::Contains("does not count"));
}

TEST_CASE("a note that cannot be read may be a pin", "[engine][expire]")
{
    ExpireFixture site("FF", 30);
    site.put(note_path(kStanza, site.builder.label("F1"), 1));
    const WarningLog log;
    expire(site.options(keep_fulls(1)), *site.memory);
    CHECK(site.files_of("F1").size() == 4);
}

TEST_CASE("backups and archive of different clusters are not touched", "[engine][expire]")
{
    ExpireFixture site("FF", 30);
    BackupSummary stray = site.builder.at("F1");
    stray.label = "20200101-000000F";
    stray.system_identifier = 77;
    write_summary(*site.memory, kStanza, stray);
    const auto before = site.objects();
    CHECK_THROWS_MATCHES(
        expire(site.options(keep_fulls(1)), *site.memory), Error, HasCode(ErrorCode::format));
    CHECK(site.objects() == before);
}

TEST_CASE("a set is removed on request, and that the newest goes is told", "[engine][expire]")
{
    ExpireFixture site("FIF", 50);
    ExpireOptions options = site.options(keep_fulls(9));
    options.request.set = site.builder.label("F2");
    const WarningLog log;
    CHECK(expire(options, *site.memory).has_set);
    CHECK(site.backups() == "F1 I1");
    CHECK_THAT(log.text(), Catch::Contains("expiring latest backup " + options.request.set));
    CHECK_FALSE(expire(options, *site.memory).has_set);
}

TEST_CASE("what aborted backups have left is removed", "[engine][expire][bug-31]")
{
    ExpireFixture site("FF", 30);
    const std::string old = "20200101-000000F";
    const std::string newest = "20300101-000000F";
    for (const auto& label : {old, newest}) {
        site.put(pack_path(kStanza, label, 0));
        site.put(journal_path(kStanza, label, 0));
    }
    const auto is_left = [&](const std::string& label) {
        return !names_in(*site.memory.storage, backup_path(kStanza, label)).empty();
    };
    SECTION("but for the newest, which the next backup may take up")
    {
        expire(site.options({}), *site.memory);
        CHECK_FALSE(is_left(old));
        CHECK(is_left(newest));
    }
    SECTION("if that has anything to go on with")
    {
        site.memory.storage->remove(journal_path(kStanza, newest, 0));
        expire(site.options({}), *site.memory);
        CHECK_FALSE(is_left(newest));
    }
    SECTION("and is not one that was being removed")
    {
        BackupSummary summary;
        summary.label = newest;
        summary.archive_id = kFirst;
        write_history(*site.memory, kStanza, summary);
        expire(site.options({}), *site.memory);
        CHECK_FALSE(is_left(newest));
    }
    SECTION("nor one whose prior goes")
    {
        const std::string incr = site.builder.label("F1") + "_20310101-000000I";
        site.put(pack_path(kStanza, incr, 0));
        site.put(journal_path(kStanza, incr, 0));
        expire(site.options({}), *site.memory);
        CHECK(is_left(incr));
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK_FALSE(is_left(incr));
        CHECK(site.backups() == "F2");
    }
}

TEST_CASE("what a complete backup builds on is not taken for garbage", "[engine][expire][bug-32]")
{
    ExpireFixture site("FIF", 40);
    // As a removal that was cut off leaves them.
    for (const auto* name : {"F1", "F2"}) {
        write_history(*site.memory, kStanza, site.builder.at(name));
        site.memory.storage->remove(summary_path(kStanza, site.builder.label(name)));
    }
    const WarningLog log;
    SECTION("it is listed again")
    {
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "F1 I1");
        CHECK(read_summary(*site.memory, kStanza, site.builder.label("F1"))->start_wal ==
              site.builder.at("F1").start_wal);
        CHECK(list_history(*site.memory, kStanza) == std::vector{site.builder.label("F2")});
    }
    SECTION("it stays when its record cannot be read")
    {
        site.memory.flip(history_path(kStanza, site.builder.label("F1")), 20);
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "I1");
        CHECK(site.files_of("F1").size() == 2);
    }
    SECTION("it is not listed without its manifest")
    {
        site.memory.storage->remove(manifest_path(kStanza, site.builder.label("F1")));
        expire(site.options(keep_fulls(1)), *site.memory);
        CHECK(site.backups() == "I1");
    }
    CHECK(site.files_of("F2").empty());
    CHECK_THAT(log.text(), Catch::Contains("because backup " + site.builder.label("I1")));
}

TEST_CASE("a backup that has lost its summary keeps its family and WAL, and is told of",
          "[engine][expire][bug-32]")
{
    ExpireFixture site("FIF", 40);
    const std::string label = site.builder.label("F1");
    site.memory.storage->remove(summary_path(kStanza, label));
    const WarningLog log;
    const RetentionPolicy policy = GENERATE(RetentionPolicy(), keep_fulls(1));
    expire(site.options(policy), *site.memory);
    CHECK(site.backups() == "I1 F2");
    CHECK(site.files_of("F1").size() == 2);
    CHECK(site.segments() == "1-40");
    CHECK_THAT(log.text(),
               Catch::Contains(summary_path(kStanza, label)) &&
                   Catch::Contains("expire --set=" + label) &&
                   !Catch::Contains("cannot be restored"));
}

TEST_CASE("a complete backup loses what makes it look aborted or removed",
          "[engine][expire][bug-32]")
{
    ExpireFixture site("FF", 40);
    const std::string label = site.builder.label("F2");
    site.put(journal_path(kStanza, label, 0));
    write_history(*site.memory, kStanza, site.builder.at("F2"));
    const WarningLog log;
    SECTION("so that it is kept when it loses its summary")
    {
        site.write_foreign_lease(label, kLeaseLifeSeconds + 1);
        expire(site.options({}), *site.memory);
        CHECK(site.files_of("F2").size() == 3);
        site.memory.storage->remove(summary_path(kStanza, label));
        expire(site.options({}), *site.memory);
        CHECK(site.files_of("F2").size() == 2);
        CHECK_THAT(log.text(), Catch::Contains("expire --set=" + label));
    }
    SECTION("unless somebody is at work on it")
    {
        site.write_foreign_lease(label, 5);
        const auto before = site.objects();
        expire(site.options({}), *site.memory);
        CHECK(site.objects() == before);
    }
}

TEST_CASE("a backup without a readable summary goes on request for good",
          "[engine][expire][bug-31]")
{
    const WarningLog log;
    const bool is_lost = GENERATE(true, false);
    std::uint64_t failures = 0;
    for (std::uint64_t n = 1;; ++n) {
        ExpireFixture site("FIF", 40);
        const std::string summary = summary_path(kStanza, site.builder.label("F1"));
        if (is_lost) {
            site.memory.storage->remove(summary);
        } else {
            site.memory.flip(summary, 20);
        }
        ExpireOptions options = site.options({});
        options.request.set = site.builder.label("F1");
        options.policy.history = 0;
        storage::FaultPlan plan;
        plan.code = ErrorCode::service;
        plan.stay_broken = true;
        const auto failing = storage::make_failing_storage(*site.memory.storage, plan);
        const auto repository = Repository::open(*failing, {});
        plan.count = 0;
        plan.fail_at = n;
        CAPTURE(n, is_lost);
        try {
            expire(options, *repository);
        } catch (const Error&) {
            ++failures;
        }
        for (const std::string& path : site.objects()) {
            if (parse_lease_name(path.substr(path.rfind('/') + 1))) {
                site.memory.storage->remove(path);
            }
        }
        const bool is_decided =
            site.files_of("F1").empty() ||
            (is_lost ? site.memory.storage->info(history_path(kStanza, site.builder.label("F1")))
                           .has_value()
                     : !site.memory.storage->info(summary));
        // Nobody asks for it any more.
        expire(site.options({}), *site.memory);
        CHECK(site.files_of("F1").empty() == is_decided);
        if (plan.count < n) {
            CHECK(is_decided);
            break;
        }
    }
    CHECK(failures > 10);
}

TEST_CASE("records of removed backups go when they are old", "[engine][expire]")
{
    ExpireFixture site;
    site.builder.add("F1", 400);
    site.builder.add("F2", 300);
    site.write(30);
    ExpireOptions options = site.options(keep_fulls(1));
    BackupSummary old;
    old.label = "20200101-000000F";
    write_history(*site.memory, kStanza, old);
    SECTION("for ever")
    {
        expire(options, *site.memory);
        CHECK(list_history(*site.memory, kStanza).size() == 2);
    }
    SECTION("some days")
    {
        options.policy.history = 9999;
        expire(options, *site.memory);
        CHECK(list_history(*site.memory, kStanza).size() == 2);
        options.policy.history = 1;
        expire(options, *site.memory);
        CHECK(list_history(*site.memory, kStanza).empty());
    }
}

TEST_CASE("a listing that fails removes nothing", "[engine][expire][bug-33]")
{
    ExpireFixture site("FIF", 40);
    const std::string label = site.builder.label("I1");
    const std::string path = GENERATE_COPY(archive_path(kStanza),
                                           backup_path(kStanza),
                                           notes_path(kStanza, label),
                                           backup_path(kStanza, "20200101-000000F"));
    site.put(pack_path(kStanza, "20200101-000000F", 0));
    const auto before = site.objects();
    InterruptedStorage storage(*site.memory.storage, path, [] {
        throw Error(ErrorCode::service, "internal error, please try again");
    });
    const auto repository = Repository::open(storage, {});
    CHECK_THROWS_MATCHES(
        expire(site.options(keep_fulls(1)), *repository), Error, HasCode(ErrorCode::service));
    CHECK(site.objects() == before);
}

TEST_CASE("WAL that cannot be listed stays", "[engine][expire][bug-33]")
{
    ExpireFixture site("FF", 30);
    const std::string archive = archive_path(kStanza, kFirst);
    const std::string path =
        GENERATE_COPY(as<std::string>{}, archive, archive + "/0000000100000000");
    InterruptedStorage storage(*site.memory.storage, path, [] {
        throw Error(ErrorCode::service, "internal error, please try again");
    });
    const auto repository = Repository::open(storage, {});
    CHECK_THROWS(expire(site.options(keep_fulls(1)), *repository));
    CHECK(site.segments() == "1-30");
    expire(site.options(keep_fulls(1)), *site.memory);
    CHECK(site.segments() == "21-30");
}
