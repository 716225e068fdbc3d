// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "support/recorded_log.hpp"
#include "unit/engine/chain_fixture.hpp"
#include "unit/engine/verify_fixture.hpp"

#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/verify_record.hpp"

using namespace pgstrata;
using namespace pgstrata::test;
using repository::BackupSummary;

namespace {

// Makes the summary and the manifest of a backup, the full by default, say that it needs WAL.
void need_wal(VerifyRun& run, std::uint64_t first, std::uint64_t last, std::string label = {})
{
    label = label.empty() ? run.full : label;
    repository::Manifest manifest = run.manifest(label);
    manifest.header.is_online = true;
    manifest.header.start_lsn = {(first << 20U) + 0x28};
    manifest.header.stop_lsn = {(last << 20U) + 0x100};
    manifest.header.start_wal = VerifyRun::segment(1, first);
    manifest.header.stop_wal = VerifyRun::segment(1, last);
    auto summary = *repository::read_summary(*run.first.repository, kStanza, label);
    summary.is_online = true;
    summary.start_lsn = manifest.header.start_lsn;
    summary.stop_lsn = manifest.header.stop_lsn;
    run.first.storage->remove(repository::manifest_path(kStanza, label));
    run.first.storage->remove(repository::summary_path(kStanza, label));
    repository::write_manifest(*run.first.repository, kStanza, manifest);
    repository::write_summary(*run.first.repository, kStanza, summary);
}

} // namespace

TEST_CASE("a backup whose removal was cut off is no damage", "[engine][verify][bug-20]")
{
    VerifyRun run;
    const auto summary = *repository::read_summary(*run.first.repository, kStanza, run.incr);
    repository::write_history(*run.first.repository, kStanza, summary);
    run.first.storage->remove(repository::summary_path(kStanza, run.incr));
    if (GENERATE(false, true)) {
        run.first.storage->remove(repository::manifest_path(kStanza, run.incr));
    }
    const InfoLog log;

    const auto report = run.verify();

    CHECK(report.findings() == 0);
    CHECK(report.backups.size() == 1);
    CHECK_THAT(log.text(),
               Catch::Contains("backup " + run.incr + " is expired and partly removed"));
    run.options.label = run.incr;
    CHECK_THROWS_MATCHES(run.verify(), Error, HasCode(ErrorCode::backup_set_invalid));
}

TEST_CASE("a backup whose WAL is not all there cannot be restored", "[engine][verify][bug-20]")
{
    VerifyRun run;
    need_wal(run, 3, 4);
    const auto whole = run.verify();
    CHECK(whole.findings() == 0);
    CHECK(backup_of(whole, run.full).last_wal == VerifyRun::segment(2, 6));
    CHECK(backup_of(whole, run.full).timeline == 2);

    const bool is_flipped = GENERATE(false, true);
    const std::string path = run.object(VerifyRun::segment(1, 4));
    if (is_flipped) {
        run.first.flip(path, 500);
    } else {
        run.first.storage->remove(path);
    }
    run.options.label = GENERATE(false, true) ? std::string() : run.full;
    const auto report = run.verify();

    const auto& backup = backup_of(report, run.full);
    CHECK_FALSE(backup.is_restorable);
    REQUIRE(backup.missing_wal.size() == 1);
    CHECK(backup.missing_wal[0].first == VerifyRun::segment(1, 4));
    CHECK(backup.last_wal == VerifyRun::segment(1, 3));
    CHECK(backup.ends_at_gap);
    CHECK(report.archives.at(0).gaps.size() == (run.options.label.empty() ? 1 : 0));
}

TEST_CASE("a history that is stored as it came and says nothing is a finding",
          "[engine][verify][bug-20]")
{
    VerifyRun run;
    run.first.storage->remove(run.object("00000002.history"));
    run.push("00000002.history", GENERATE("garbage\n", "1\tx\n", "2\t0/600028\tof itself\n"));
    run.options.depth = GENERATE(repository::VerifyDepth::full, repository::VerifyDepth::quick);

    const auto report = run.verify();

    const auto& faults = report.archives.at(0).faults;
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].object == run.object("00000002.history"));
    CHECK_THAT(faults[0].problem, Catch::Contains("of no use"));
}

TEST_CASE("a gap in the WAL is a finding although every backup can be restored",
          "[engine][verify][bug-20]")
{
    VerifyRun run;
    need_wal(run, 3, 3);
    run.first.storage->remove(run.object(VerifyRun::segment(1, 5)));

    const auto report = run.verify();

    CHECK(report.findings() == 1);
    CHECK(report.archives.at(0).gaps.at(0).first == VerifyRun::segment(1, 5));
    CHECK(backup_of(report, run.full).is_restorable);
}

TEST_CASE("WAL that was dropped on purpose is a gap wherever nothing else tells",
          "[engine][verify][bug-20]")
{
    VerifyRun run;
    need_wal(run, 3, 3);
    const auto drop = [&](postgres::Timeline timeline, std::uint64_t number) {
        repository::write_gap(*run.first.repository,
                              kStanza,
                              run.cluster.id,
                              {VerifyRun::segment(timeline, number), "full", 1, "h"});
    };
    std::string first;
    std::string last;
    SECTION("at the tip of the archive")
    {
        drop(2, 7);
        drop(2, 8);
        first = VerifyRun::segment(2, 7);
        last = VerifyRun::segment(2, 8);
    }
    SECTION("from the stop of one backup to the start of the next")
    {
        need_wal(run, 5, 5, run.incr);
        run.first.storage->remove(run.object(VerifyRun::segment(1, 4)));
        REQUIRE(run.verify().findings() == 0);
        drop(1, 4);
        first = last = VerifyRun::segment(1, 4);
    }
    SECTION("once, where the segments around it tell as well")
    {
        run.first.storage->remove(run.object(VerifyRun::segment(1, 4)));
        run.first.storage->remove(run.object(VerifyRun::segment(1, 5)));
        drop(1, 5);
        first = VerifyRun::segment(1, 4);
        last = VerifyRun::segment(1, 5);
    }

    const auto report = run.verify();

    CHECK(report.findings() == 1);
    REQUIRE(report.archives.at(0).gaps.size() == 1);
    CHECK(report.archives.at(0).gaps[0].first == first);
    CHECK(report.archives.at(0).gaps[0].last == last);
}

TEST_CASE("what other commands do while verify reads is no finding", "[engine][verify][bug-58]")
{
    VerifyRun run;
    need_wal(run, 3, 5);
    const std::string path = run.object(VerifyRun::segment(1, 5));
    const Buffer segment = run.first.read(path);
    const std::string pack = run.object("F/pack/000000");
    const auto verify = [&](const std::string& at, const std::function<void()>& action) {
        InterruptedStorage storage(*run.first.storage, at, action);
        return engine::verify(run.options, *repository::Repository::open(storage, run.setting), {});
    };

    SECTION("a backup whose last WAL comes when the backups are listed")
    {
        run.first.storage->remove(path);
        const auto report =
            verify(repository::backup_path(kStanza), [&] { run.first.replace(path, segment); });
        CHECK(report.findings() == 0);
    }
    SECTION("WAL that comes when the packs are read")
    {
        run.first.storage->remove(path);
        const auto report = verify(pack, [&] { run.first.replace(path, segment); });
        CHECK(report.findings() == 0);
        CHECK(backup_of(report, run.full).last_wal == VerifyRun::segment(2, 6));
    }
    SECTION("damaged WAL does not come back with that")
    {
        run.first.flip(path, 500);
        const auto report = verify(pack, [] {});
        CHECK(backup_of(report, run.full).missing_wal.size() == 1);
    }
    SECTION("WAL that expire takes from between a backup and one that ends meanwhile")
    {
        need_wal(run, 3, 3);
        auto next = *repository::read_summary(*run.first.repository, kStanza, run.full);
        next.label = "20990101-000000F";
        next.start_lsn = {(5ULL << 20U) + 0x28};
        next.stop_lsn = {(5ULL << 20U) + 0x100};
        const auto report = verify(pack, [&] {
            repository::write_summary(*run.first.repository, kStanza, next);
            run.first.storage->remove(run.object(VerifyRun::segment(1, 4)));
        });
        CHECK(report.findings() == 0);
        CHECK(backup_of(report, run.full).last_wal == VerifyRun::segment(1, 3));
    }
}

TEST_CASE("two files for one WAL segment are a finding", "[engine][verify]")
{
    VerifyRun run;
    const std::string other(40, 'a');
    const std::string path =
        fmt::format("{}/{}-{}",
                    repository::wal_directory(kStanza, run.cluster.id, VerifyRun::segment(1, 4)),
                    VerifyRun::segment(1, 4),
                    other);
    run.first.replace(path, as_bytes("x"));

    const auto faults = all_faults(run.verify());

    CHECK(std::ranges::any_of(faults, [](const auto& fault) {
        return fault.problem.find("different files") != std::string::npos;
    }));
}

TEST_CASE("a backup in progress is none of the findings", "[engine][verify]")
{
    VerifyRun run;
    const std::string label = "20990101-000000F";
    const auto lease = repository::Lease::claim(*run.first.repository, kStanza, label);

    const auto report = run.verify();

    CHECK(report.findings() == 0);
    CHECK(backup_of(report, label).state == engine::BackupState::in_progress);
}

TEST_CASE("what a backup that died left behind is not a finding", "[engine][verify]")
{
    VerifyRun run;
    const std::string label = "20990101-000000F";
    run.first.replace("backup/demo/" + label + "/pack/000000", as_bytes("half"));

    const auto report = run.verify();

    CHECK(report.findings() == 0);
    CHECK(report.backups.size() == 3);
    CHECK(backup_of(report, label).state == engine::BackupState::in_progress);
    run.options.label = label;
    CHECK_THROWS_MATCHES(run.verify(), Error, HasCode(ErrorCode::backup_set_invalid));
}

TEST_CASE("a stanza or backup that is not there is an error", "[engine][verify]")
{
    VerifyRun run;
    run.options.label = "20200101-000000F";
    CHECK_THROWS_MATCHES(run.verify(), Error, HasCode(ErrorCode::backup_set_invalid));
    run.options.stanza = "other";
    CHECK_THROWS_MATCHES(run.verify(), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("shares of a repository come round to all of it", "[engine][verify]")
{
    VerifyRun run;
    const auto all = run.manifest(run.incr).packs;
    run.options.sample = 25;
    std::uint64_t segments = 0;
    for (int i = 0; i < 4; ++i) {
        const auto report = run.verify();
        CHECK(report.findings() == 0);
        CHECK(report.bytes != 0);
        segments += report.archives.at(0).checked - 1; // without the history, which is read always
    }

    const auto records = repository::read_verify_records(*run.first.repository, kStanza);
    std::set<repository::PackName> read;
    std::size_t count = 0;
    for (const auto& record : records) {
        read.insert(record.packs.begin(), record.packs.end());
        count += record.packs.size();
    }
    CHECK(segments == 4);
    CHECK(repository::verified_bytes(records, 0, all) != 0);
    for (const auto& pack : all) {
        CHECK(read.contains(pack.name));
    }
    CHECK(count == read.size());
}

TEST_CASE("a record of verify that cannot be read is a finding, until a run over everything",
          "[engine][verify][bug-58]")
{
    const WarningLog log;
    VerifyRun run;
    run.verify();
    const std::string path = repository::verify_path(kStanza, 1);
    run.first.flip(path, 30);
    run.options.sample = 25;
    for (int i = 0; i < 2; ++i) {
        const auto report = run.verify();
        REQUIRE(report.faults.size() == 1);
        CHECK(report.faults[0].object == path);
    }
    run.options.sample.reset();
    sleep_milliseconds(1100); // records have times of a second
    run.verify();
    CHECK_FALSE(run.first.storage->info(path));
    CHECK(run.verify().findings() == 0);
}

TEST_CASE("samples do not forget the damage that an earlier one found", "[engine][verify][bug-58]")
{
    VerifyRun run;
    need_wal(run, 4, 4);
    const std::string path = GENERATE("F/pack/000001", "000000010000000000000004");
    const std::string object = run.object(path);
    const bool is_pack = path.starts_with("F/pack");
    run.first.flip(object, 200);
    run.options.sample = 20;
    const auto problem_of = [&](const engine::VerifyReport& report) {
        const auto faults = all_faults(report);
        const auto fault = std::ranges::find(faults, object, &engine::VerifyFault::object);
        return fault == faults.end() ? std::string() : fault->problem;
    };
    int day = 1;
    while (problem_of(run.verify()).empty()) {
        REQUIRE(++day <= 5);
    }

    run.first.flip(object, 200); // sound again, but nobody knows
    int known = 0;
    for (day = 1; day <= 4; ++day) {
        const auto report = run.verify();
        const bool is_known = problem_of(report).find("(known since ") != std::string::npos;
        known += is_known ? 1 : 0;
        CHECK(report.findings() >= (is_known ? 2 : 0));
        CHECK(backup_of(report, run.full).is_restorable == !is_known);
        CHECK(backup_of(report, run.full).missing_wal.empty() == (is_pack || !is_known));
        CHECK(report.archives.at(0).checked == report.archives.at(0).valid);
    }
    CHECK(known == 4);
    const auto again = run.verify(); // its share once more
    CHECK(again.findings() == 0);
    CHECK(backup_of(again, run.full).is_restorable);
    CHECK(run.verify().findings() == 0);
}

TEST_CASE("what is known of a pack does not count for a run that reads it", "[engine][verify]")
{
    VerifyRun run;
    const std::string object = run.object(GENERATE("F/pack/000001", "000000010000000000000004"));
    run.first.flip(object, 200);
    REQUIRE(run.verify().findings() != 0);
    run.first.flip(object, 200);

    run.options.label = GENERATE(false, true) ? std::string() : run.full;

    CHECK(run.verify().findings() == 0);
}

TEST_CASE("what verify finds is known until a later run finds it sound", "[engine][verify]")
{
    VerifyRun run;
    const std::string path = run.object("F/pack/000001");
    run.first.flip(path, 200);
    const auto known = [&] {
        return repository::known_damage(
            repository::read_verify_records(*run.first.repository, kStanza), {run.full, run.incr});
    };
    CHECK(known().is_empty());
    run.verify();
    CHECK(known().has({run.full, 1}));

    run.first.flip(path, 200);
    run.options.label = run.incr;
    run.verify();
    CHECK(known().has({run.full, 1})); // a single backup says nothing of what others have in it
    run.options.label.clear();
    run.verify();
    CHECK(known().is_empty());
    CHECK(repository::read_verify_records(*run.first.repository, kStanza).size() == 1);
}

TEST_CASE("what verify found damaged is stored anew by the next backup", "[engine][verify][bug-58]")
{
    VerifyRun run(GENERATE(false, true) ? gcm_setting() : repository::CipherSetting());
    const auto full = run.manifest(run.full);
    const std::string name = GENERATE("base/1/16385", "base/1/1259", "PG_VERSION");
    const bool is_map_hurt = GENERATE(false, true);
    const auto* file = find_file(full, name);
    repository::Extent where = file->extents.at(0);
    if (file->content == repository::ContentKind::paged && !is_map_hurt) {
        repository::PackReader reader(*run.first.repository, kStanza, full.packs);
        where =
            repository::read_page_maps(reader, full.packs, file->extents, name).at(0).extents.at(0);
    }
    const auto& pack = full.packs[where.pack].name;
    run.first.flip(repository::pack_path(kStanza, pack.label, pack.number), where.offset + 50);
    run.backup.is_delta = GENERATE(false, true);
    REQUIRE(run.verify().findings() != 0);

    const std::string next = run.run().label;

    CHECK(run.warnings.text().find("'" + name + "' is damaged") != std::string::npos);
    const auto manifest = run.manifest(next);
    for (const auto& copied : manifest.files) {
        INFO(copied.path);
        CHECK((read_through_chain(*run.first.repository, manifest, copied) ==
               read_text_file(run.data.path() + "/" + copied.path)));
    }
    const auto all = run.verify();
    CHECK_FALSE(backup_of(all, run.full).is_restorable);
    CHECK(backup_of(all, next).is_restorable);
    run.options.label = next;
    CHECK(run.verify().findings() == 0);
}
