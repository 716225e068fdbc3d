// SPDX-License-Identifier: PostgreSQL
#include "engine/damaged_files.hpp"
#include "support/hooked_storage.hpp"
#include "support/rounds.hpp"
#include "unit/engine/verify_fixture.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/verify_record.hpp"

using namespace pgstrata;
using namespace pgstrata::test;
using repository::VerifyDepth;

namespace {

// Whether verify says that something is wrong with the object.
bool is_named(VerifyRun& run, const std::string& path)
{
    const auto report = run.verify();
    const auto faults = all_faults(report);
    return report.findings() != 0 &&
           std::ranges::any_of(faults, [&](const auto& fault) { return fault.object == path; });
}

// What is missing is told by name, or by what it was for.
bool is_missed(VerifyRun& run, const std::string& path)
{
    if (is_named(run, path)) {
        return true;
    }
    const auto report = run.verify();
    const auto& archive = report.archives.at(0);
    const bool is_gap = std::ranges::any_of(archive.gaps, [&](const auto& range) {
        return path.find(range.first) != std::string::npos;
    });
    const bool is_history =
        !archive.lost_histories.empty() && path.find("00000002.history") != std::string::npos;
    return is_gap || is_history;
}

// Where the first pages of a file of the full are; the pack by its number.
repository::Extent first_pages(const VerifyRun& run, std::string_view path)
{
    const auto manifest = run.manifest(run.full);
    const auto* file = find_file(manifest, path);
    repository::PackReader reader(*run.first.repository, kStanza, manifest.packs);
    const auto maps =
        repository::read_page_maps(reader, manifest.packs, file->extents, "the page map");
    repository::Extent where = maps.at(0).extents.at(0);
    where.pack = manifest.packs[where.pack].name.number;
    return where;
}

std::vector<repository::CipherSetting> ciphers()
{
    return {{}, gcm_setting()};
}

// What a quick run knows from the run before must not stand for what it finds.
void choose_depth(VerifyRun& run, VerifyDepth depth)
{
    run.options.depth = depth;
    run.options.is_recorded = depth == VerifyDepth::full;
}

} // namespace

TEST_CASE("a sound repository has no findings", "[engine][verify][bug-58]")
{
    VerifyRun run(ciphers()[GENERATE(range(0U, 2U))]);
    run.options.label = GENERATE(0, 1) == 0 ? "" : run.incr;

    const auto report = run.verify();

    for (const auto& fault : all_faults(report)) {
        UNSCOPED_INFO(fault.object << ": " << fault.problem);
    }
    CHECK(report.findings() == 0);
    CHECK(report.archives.at(0).checked == report.archives.at(0).valid);
    CHECK(report.archives.at(0).valid == (run.options.label.empty() ? 5 : 1));
    CHECK(backup_of(report, run.incr).files == run.manifest(run.incr).files.size());
    CHECK(backup_of(report, run.incr).is_restorable);
    INFO(run.warnings.text());
    CHECK(run.warnings.text().find("WARN") == std::string::npos);
}

TEST_CASE("one flipped bit in any object is found, and the object is named",
          "[engine][verify][slow][bug-47][bug-58]")
{
    VerifyRun run(ciphers()[GENERATE(range(0U, 2U))]);
    choose_depth(run, GENERATE(VerifyDepth::quick, VerifyDepth::full));
    std::size_t number = 0;
    for (const std::string& path : run.all_objects()) {
        const Buffer before = run.first.read(path);
        // Header, frame header, the frames themselves, and the end.
        for (const std::size_t at : {std::size_t{1},
                                     std::size_t{20},
                                     std::size_t{74},
                                     std::size_t{90},
                                     std::size_t{110},
                                     before.size() / 2,
                                     before.size() - 30,
                                     before.size() - 2}) {
            if (number++ % stride(1) != 0 || at >= before.size()) {
                continue;
            }
            run.first.flip(path, at);
            INFO(path << " at byte " << at << " of " << before.size());
            CHECK(is_named(run, path));
            run.first.replace(path, before);
        }
    }
    CHECK(run.verify().findings() == 0);
}

TEST_CASE("a truncated object is found, and named", "[engine][verify][bug-47][bug-58]")
{
    VerifyRun run(ciphers()[GENERATE(range(0U, 2U))]);
    choose_depth(run, GENERATE(VerifyDepth::quick, VerifyDepth::full));
    for (const std::string& path : run.all_objects()) {
        const Buffer before = run.first.read(path);
        for (const std::size_t size : {std::size_t{0}, before.size() / 2, before.size() - 1}) {
            run.first.replace(path, before.view().first(size));
            INFO(path << " cut to " << size << " of " << before.size());
            // The line feed at the end of a document is for people.
            const bool is_line_feed =
                size == before.size() - 1 && before.view().back() == std::byte{'\n'};
            CHECK((is_line_feed || is_named(run, path)));
        }
        run.first.replace(path, before);
    }
}

TEST_CASE("a missing object is found", "[engine][verify][bug-47][bug-58]")
{
    VerifyRun run(ciphers()[GENERATE(range(0U, 2U))]);
    choose_depth(run, GENERATE(VerifyDepth::quick, VerifyDepth::full));
    for (const std::string& path : run.all_objects()) {
        // Nothing tells that there was a note or a record of dropped WAL or of a removed backup;
        // nor that WAL at the ends of the archive was there when no backup needs it.
        if (path.find("/notes/") != std::string::npos ||
            path.find("/history/") != std::string::npos ||
            path.find("/gap/") != std::string::npos ||
            path.find(VerifyRun::segment(1, 3)) != std::string::npos ||
            path.find(VerifyRun::segment(2, 6)) != std::string::npos) {
            continue;
        }
        const Buffer before = run.first.read(path);
        run.first.storage->remove(path);
        INFO(path);
        CHECK(is_missed(run, path));
        run.first.replace(path, before);
    }
}

TEST_CASE("objects that changed places are found", "[engine][verify][bug-51][bug-58]")
{
    // Without a cipher nothing but the contents ties an object to its name.
    const auto [cipher, depth] = GENERATE(table<std::size_t, VerifyDepth>(
        {{0, VerifyDepth::full}, {1, VerifyDepth::full}, {1, VerifyDepth::quick}}));
    VerifyRun run(ciphers()[cipher]);
    choose_depth(run, depth);
    const auto [one, other] = GENERATE_REF(table<std::string, std::string>({
        {"F/pack/000000", "F/pack/000001"},
        {"F/pack/000001", "I/pack/000000"},
        {"F/manifest", "I/manifest"},
        {"F/backup.json", "I/backup.json"},
        {VerifyRun::segment(1, 3), VerifyRun::segment(1, 4)},
        {VerifyRun::segment(1, 4), "00000002.history"},
    }));
    const std::string first = run.object(one);
    const std::string second = run.object(other);
    const Buffer bytes = run.first.read(first);
    run.first.replace(first, run.first.read(second));
    run.first.replace(second, bytes);

    CHECK(is_named(run, first));
    CHECK(is_named(run, second));
}

TEST_CASE("with a cipher a plain object is refused", "[engine][verify][bug-51]")
{
    VerifyRun run(gcm_setting());
    VerifyRun plain;
    const std::string path = run.object("00000002.history");

    run.first.replace(path, plain.first.read(plain.object("00000002.history")));

    CHECK(is_named(run, path));
}

TEST_CASE("damage in a frame names the files and pages in it, and the backups",
          "[engine][verify][bug-58]")
{
    VerifyRun run;
    const repository::Extent where = first_pages(run, "base/1/16384");
    const std::uint32_t pages = where.size / kPageSize;
    REQUIRE(pages > 11);
    const std::string path = repository::pack_path(kStanza, run.full, where.pack);
    run.first.flip(path, where.offset + 60);

    const auto report = run.verify();

    const auto& hurt = backup_of(report, run.full);
    CHECK_FALSE(hurt.is_restorable);
    CHECK(hurt.state == engine::BackupState::invalid);
    REQUIRE(hurt.lost.size() == 1);
    CHECK(hurt.lost[0].path == "base/1/16384");
    CHECK(hurt.lost[0].pages == std::vector<engine::PageRange>{{0, pages}});
    CHECK(hurt.valid_files == hurt.files - 1);
    REQUIRE(hurt.faults.size() == 1);
    CHECK(hurt.faults[0].object == path);
    // The incr has page 10 in a pack of its own.
    const auto& child = backup_of(report, run.incr);
    REQUIRE(child.lost.size() == 1);
    CHECK(child.lost[0].pages == std::vector<engine::PageRange>{{0, 10}, {11, pages}});
    CHECK_FALSE(child.is_restorable);
}

TEST_CASE("a page that is not the one its map means is found although its frame is sound",
          "[engine][verify][bug-51]")
{
    VerifyRun run(ciphers()[GENERATE(range(0U, 2U))]);
    const repository::Extent where = first_pages(run, "base/1/16384");
    const std::string path = repository::pack_path(kStanza, run.full, where.pack);

    run.forge(path, where, 3 * kPageSize + 5);

    const auto report = run.verify();
    const auto& hurt = backup_of(report, run.full);
    REQUIRE(hurt.lost.size() == 1);
    CHECK(hurt.lost[0].pages == std::vector<engine::PageRange>{{3, 4}});
    REQUIRE(hurt.faults.size() == 1);
    CHECK(hurt.faults[0].object == path);
}

TEST_CASE("a file that does not have its digest is found although its frames are sound",
          "[engine][verify][bug-51]")
{
    VerifyRun run;
    const std::string name = GENERATE("pg_xact/0000", "PG_VERSION");
    const auto manifest = run.manifest(run.full);
    const repository::Extent where = find_file(manifest, name)->extents.at(0);
    const auto& pack = manifest.packs[where.pack].name;

    run.forge(repository::pack_path(kStanza, pack.label, pack.number), where, 1);

    const auto report = run.verify();
    const auto& lost = backup_of(report, run.full).lost;
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].path == name);
    // The incr has another pg_xact/0000.
    CHECK(backup_of(report, run.incr).is_restorable == (name == "pg_xact/0000"));
}

TEST_CASE("a damaged page map costs the file, and no other", "[engine][verify][bug-58]")
{
    VerifyRun run;
    const auto manifest = run.manifest(run.full);
    const repository::Extent where = find_file(manifest, "base/1/16384")->extents.at(0);
    const auto& pack = manifest.packs[where.pack].name;

    run.forge(repository::pack_path(kStanza, pack.label, pack.number), where, 0);

    const auto report = run.verify();
    for (const auto& label : {run.full, run.incr}) {
        const auto& lost = backup_of(report, label).lost;
        REQUIRE(lost.size() == 1);
        CHECK(lost[0].path == "base/1/16384");
    }
}

TEST_CASE("a store that is away while page maps are read is an error and no damage",
          "[engine][verify][bug-58]")
{
    VerifyRun run;
    const auto code = GENERATE(
        ErrorCode::service, ErrorCode::protocol, ErrorCode::file_open, ErrorCode::path_open);
    const auto manifest = run.manifest(run.full);
    const auto* file = find_file(manifest, "base/1/16384");
    const repository::Extent where = file->extents.at(0);
    const auto& map = manifest.packs[where.pack].name;
    const std::string path = repository::pack_path(kStanza, map.label, map.number);
    bool is_away = false;
    bool is_back = false;
    HookedStorage storage(*run.first.storage, [&](StorageCall call, std::string_view asked) {
        is_away = is_away || (!is_back && call == StorageCall::open && asked == path);
        if (is_away) {
            raise(code, "the store is away");
        }
    });
    const auto opened = repository::Repository::open(storage, run.setting);

    SECTION("verify says nothing then, and records nothing")
    {
        run.options.workers = 1;
        CHECK_THROWS_MATCHES(engine::verify(run.options, *opened, {}), Error, HasCode(code));
        CHECK(repository::read_verify_records(*run.first.repository, kStanza).empty());
    }
    SECTION("a backup does not take the file for damaged")
    {
        repository::Damage damage;
        damage.add({.pack = map, .begin = repository::DamagedPlace::kToTheEnd - 1, .problem = "x"});
        engine::DamagedFiles damaged(*opened, kStanza, manifest.packs, damage);
        CHECK_THROWS_MATCHES(damaged.find(*file), Error, HasCode(code));
        is_away = false;
        is_back = true;
        CHECK(damaged.find(*file).empty()); // the store is there again
    }
}
