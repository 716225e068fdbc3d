// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/chain_fixture.hpp"
#include "unit/engine/verify_fixture.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/verify_record.hpp"

using namespace pgstrata;
using namespace pgstrata::test;
using repository::VerifyDepth;

namespace {

std::vector<repository::CipherSetting> all_ciphers()
{
    return {{}, gcm_setting(), {codec::CipherType::aes_256_cbc, kGeneratedPassphrase}};
}

engine::VerifyReport verify_at(VerifyRun& run, VerifyDepth depth)
{
    run.options.depth = depth;
    return run.verify();
}

// All that a report says but its depth.
std::string facts(const engine::VerifyReport& report)
{
    std::string text = fmt::format("{} findings\n", report.findings());
    for (const auto& fault : all_faults(report)) {
        text +=
            fmt::format("{} {} {}\n", static_cast<int>(fault.kind), fault.object, fault.problem);
    }
    for (const auto& archive : report.archives) {
        text +=
            fmt::format("{} of {}, {} gaps\n", archive.valid, archive.checked, archive.gaps.size());
    }
    for (const auto& backup : report.backups) {
        text += fmt::format("{} {} {}\n", backup.label, backup.is_restorable, backup.last_wal);
        for (const auto& lost : backup.lost) {
            text += fmt::format("{}, {} ranges, first {}-{}\n",
                                lost.path,
                                lost.pages.size(),
                                lost.pages.at(0).begin,
                                lost.pages.at(0).end);
        }
    }
    return text;
}

// Where the frames of an object are, without the end frame.
std::vector<codec::FramePlace> frames_of(const VerifyRun& run, const std::string& path)
{
    const Buffer bytes = run.first.read(path);
    const MemorySource source(bytes);
    const auto kind =
        path.find("/pack/") == std::string::npos ? codec::ObjectKind::wal : codec::ObjectKind::pack;
    codec::ObjectReader reader(source, {kind, path}, run.first.repository->cipher());
    std::vector<codec::FramePlace> places;
    for (Buffer raw; reader.next(raw);) {
        places.push_back(reader.place());
    }
    return places;
}

void swap_frames(VerifyRun& run, const std::string& path)
{
    const auto places = frames_of(run, path);
    REQUIRE(places.size() >= 2);
    const Buffer before = run.first.read(path);
    Buffer after;
    after.append(before.view().first(places[0].offset));
    after.append(before.view().subspan(places[1].offset, places[1].length));
    after.append(before.view().subspan(places[0].offset, places[0].length));
    after.append(before.view().subspan(places[1].offset + places[1].length));
    run.first.replace(path, after);
}

enum class Harm : std::uint8_t {
    object_header,
    salt,
    frame_header,
    frame_number,
    tag,
    stored_bytes,
    end_frame,
    truncation,
    swapped_frames,
    removal
};

void do_harm(VerifyRun& run, const std::string& path, Harm harm)
{
    const Buffer before = run.first.read(path);
    const std::uint64_t frame = frames_of(run, path).at(0).offset;
    switch (harm) {
    case Harm::object_header:
        return run.first.flip(path, 3);
    case Harm::salt:
        return run.first.flip(path, 30);
    case Harm::frame_header:
        return run.first.flip(path, frame + 8);
    case Harm::frame_number:
        return run.first.flip(path, frame + 20);
    case Harm::tag:
        return run.first.flip(path, frame + 39);
    case Harm::stored_bytes:
        return run.first.flip(path, frame + 45);
    case Harm::end_frame:
        return run.first.flip(path, before.size() - 1);
    case Harm::truncation:
        return run.first.replace(path, before.view().first(before.size() / 2));
    case Harm::swapped_frames:
        return swap_frames(run, path);
    case Harm::removal:
        run.first.storage->remove(path);
    }
}

// A pack of the full with two frames or more.
std::string pack_of_frames(const VerifyRun& run)
{
    for (const std::string& path : run.all_objects()) {
        if (path.find("F/pack/") != std::string::npos && frames_of(run, path).size() >= 2) {
            return path;
        }
    }
    FAIL("no pack has two frames");
    return {};
}

// The first extent of a file of the full, and the path of its pack.
std::pair<repository::Extent, std::string> first_extent(const VerifyRun& run, const char* name)
{
    const auto manifest = run.manifest(run.full);
    const repository::Extent where = find_file(manifest, name)->extents.at(0);
    const auto& pack = manifest.packs[where.pack].name;
    return {where, repository::pack_path(kStanza, pack.label, pack.number)};
}

} // namespace

TEST_CASE("a quick run says of stored bytes that were hurt what a full one says",
          "[engine][verify][bug-47][bug-51][bug-58]")
{
    VerifyRun run(all_ciphers()[GENERATE(range(0U, 3U))], 1);
    run.options.is_recorded = false;
    const auto harm = GENERATE(Harm::object_header,
                               Harm::salt,
                               Harm::frame_header,
                               Harm::frame_number,
                               Harm::tag,
                               Harm::stored_bytes,
                               Harm::end_frame,
                               Harm::truncation,
                               Harm::swapped_frames,
                               Harm::removal);
    const bool is_pack = GENERATE(true, false);
    if (!is_pack && harm == Harm::swapped_frames) {
        return; // a small segment is one frame
    }
    const std::string path = is_pack ? pack_of_frames(run) : run.object(VerifyRun::segment(1, 4));

    do_harm(run, path, harm);

    const auto full = verify_at(run, VerifyDepth::full);
    const auto quick = verify_at(run, VerifyDepth::quick);
    CAPTURE(path, static_cast<int>(harm));
    CHECK(quick.findings() != 0);
    CHECK(facts(quick) == facts(full));
    CHECK(quick.depth == VerifyDepth::quick);
}

TEST_CASE("a quick run of one backup finds what hurts it, and nothing else",
          "[engine][verify][bug-58]")
{
    VerifyRun run;
    run.options.is_recorded = false;
    const auto [where, path] = first_extent(run, "pg_xact/0000");
    run.first.flip(path, where.offset + 100);
    // The incr has another pg_xact/0000.
    run.options.label = run.incr;
    CHECK(verify_at(run, VerifyDepth::quick).findings() == 0);
    run.options.label = run.full;
    CHECK(verify_at(run, VerifyDepth::quick).findings() != 0);
}

TEST_CASE("contents that were stored wrong are for a full run to find, and a quick one does not "
          "claim them",
          "[engine][verify][bug-51]")
{
    VerifyRun run(all_ciphers()[GENERATE(0U, 1U)]);
    // Whole files, page maps and, behind the map, pages.
    const auto* name = GENERATE("pg_xact/0000", "base/1/16384");
    const auto [where, path] = first_extent(run, name);
    run.forge(path, where, 0);

    CHECK(verify_at(run, VerifyDepth::quick).findings() == 0);
    CHECK(repository::known_damage(repository::read_verify_records(*run.first.repository, kStanza),
                                   {run.full, run.incr})
              .is_empty());
    const auto full = verify_at(run, VerifyDepth::full);
    CHECK_FALSE(backup_of(full, run.full).is_restorable);
    CHECK(backup_of(full, run.full).lost.at(0).path == name);

    // What the full run found a quick one repeats.
    const auto quick = verify_at(run, VerifyDepth::quick);
    CHECK_FALSE(backup_of(quick, run.full).is_restorable);
    CHECK(backup_of(quick, run.full).faults.at(0).problem.find("(known since ") !=
          std::string::npos);
    run.options.label = run.full;
    CHECK_FALSE(backup_of(verify_at(run, VerifyDepth::quick), run.full).is_restorable);
}

TEST_CASE("a segment whose contents are not those of its name is for a full run to find",
          "[engine][verify][bug-51]")
{
    VerifyRun run(all_ciphers()[GENERATE(0U, 1U)], 1);
    const std::string path = run.object(VerifyRun::segment(1, 4));
    Buffer forged;
    BufferSink sink(forged);
    codec::ZstdCompressor compressor(1);
    codec::write_object(sink,
                        {codec::ObjectKind::wal, path},
                        run.first.repository->cipher(),
                        Buffer(std::size_t{WalBuilder::kSegmentSize}),
                        &compressor);
    run.first.replace(path, forged);

    CHECK(verify_at(run, VerifyDepth::quick).findings() == 0);
    CHECK(all_faults(verify_at(run, VerifyDepth::full)).at(0).object == path);
    const auto known = all_faults(verify_at(run, VerifyDepth::quick));
    CHECK(known.at(0).object == path);
    CHECK(known.at(0).problem.find("(known since ") != std::string::npos);
}

TEST_CASE("a quick run holds the manifest's extents against the frames", "[engine][verify]")
{
    VerifyRun run;
    const auto depth = GENERATE(VerifyDepth::quick, VerifyDepth::full);
    repository::Manifest manifest = run.manifest(run.incr);
    const auto* name = GENERATE("pg_xact/0000", "PG_VERSION");
    auto file = std::ranges::find(manifest.files, name, &repository::ManifestFile::path);
    REQUIRE(file != manifest.files.end());
    repository::Extent& where = file->extents.at(0);
    SECTION("where none begins")
    {
        where.offset += 1;
    }
    SECTION("of another length")
    {
        where.length -= 1;
    }
    SECTION("of too few raw bytes")
    {
        where.position = codec::kFrameRawLimit - where.size;
    }
    run.first.storage->remove(repository::manifest_path(kStanza, run.incr));
    repository::write_manifest(*run.first.repository, kStanza, manifest);

    const auto report = verify_at(run, depth);

    CHECK_FALSE(backup_of(report, run.incr).is_restorable);
    CHECK(backup_of(report, run.incr).lost.at(0).path == name);
}

TEST_CASE("a frame of a file that lies in several packs is found damaged",
          "[engine][verify][bug-58]")
{
    VerifyRun run;
    const std::string name = "pg_xact/0001";
    run.data.write(name, VerifyRun::random_bytes(3U << 20U, 3));
    run.backup.type = repository::BackupType::full;
    run.full = run.run().label;
    const auto manifest = run.manifest(run.full);
    const auto* file = find_file(manifest, name);
    REQUIRE(file != nullptr);
    const auto& extents = file->extents;
    REQUIRE_FALSE(extents.empty());
    REQUIRE(extents.front().pack != extents.back().pack);
    const repository::Extent where = GENERATE(true, false) ? extents.front() : extents.back();
    const auto& pack = manifest.packs[where.pack].name;
    const std::string path = repository::pack_path(kStanza, pack.label, pack.number);
    run.first.flip(path, where.offset + 100);

    const auto report = verify_at(run, GENERATE(VerifyDepth::quick, VerifyDepth::full));

    CHECK_FALSE(backup_of(report, run.full).is_restorable);
    CHECK(backup_of(report, run.full).lost.at(0).path == name);
}

TEST_CASE("only a full run takes back what was found damaged", "[engine][verify][bug-58]")
{
    VerifyRun run;
    const std::string path = run.object(GENERATE("F/pack/000001", "000000010000000000000004"));
    run.first.flip(path, 200);
    const auto found = verify_at(run, VerifyDepth::quick);
    REQUIRE(found.findings() != 0);
    run.first.flip(path, 200);

    for (int night = 0; night < 3; ++night) {
        const auto faults = all_faults(verify_at(run, VerifyDepth::quick));
        REQUIRE_FALSE(faults.empty());
        CHECK(faults.at(0).object == path);
        CHECK(faults.at(0).problem.find("(known since ") != std::string::npos);
    }
    // That they say no more does not fill the repository.
    CHECK(repository::read_verify_records(*run.first.repository, kStanza).size() == 2);

    CHECK(verify_at(run, VerifyDepth::full).findings() == 0);
    CHECK(verify_at(run, VerifyDepth::quick).findings() == 0);
}

TEST_CASE("a quick run proves no pack as a full one does", "[engine][verify]")
{
    VerifyRun run;
    verify_at(run, VerifyDepth::quick);
    const auto records = repository::read_verify_records(*run.first.repository, kStanza);
    REQUIRE(records.size() == 1);
    CHECK(records[0].depth == VerifyDepth::quick);
    CHECK(records[0].packs.empty());
    CHECK(records[0].pack_bytes != 0);
    CHECK(records[0].segments == 5);
    CHECK(repository::verified_bytes(records, 0, run.manifest(run.incr).packs) == 0);
}

TEST_CASE("shares of both depths go round by themselves", "[engine][verify]")
{
    VerifyRun run;
    run.options.sample = 25;
    std::uint64_t segments = 0;
    for (int i = 0; i < 4; ++i) {
        const auto quick = verify_at(run, VerifyDepth::quick);
        const auto full = verify_at(run, VerifyDepth::full);
        CHECK(quick.findings() == 0);
        CHECK(quick.archives.at(0).checked == full.archives.at(0).checked);
        segments += full.archives.at(0).checked - 1; // the history is read always
    }

    CHECK(segments == 4);
    std::set<repository::PackName> read;
    for (const auto& record : repository::read_verify_records(*run.first.repository, kStanza)) {
        read.insert(record.packs.begin(), record.packs.end());
    }
    CHECK(read.size() == run.manifest(run.incr).packs.size());
}
