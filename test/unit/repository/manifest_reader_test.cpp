// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/manifest_sample.hpp"

#include "pgstrata/storage/decorators.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

std::vector<std::string> paths_of(ManifestReader& reader)
{
    std::vector<std::string> paths;
    for (ManifestFile file; reader.next(file);) {
        paths.push_back(file.path);
    }
    return paths;
}

// `raw` with a record more before its end record.
Buffer with_tail(const MemoryRepository& memory, std::size_t cut, std::string_view tail)
{
    const Buffer raw = raw_manifest(memory);
    Buffer changed;
    changed.append(raw.view().first(raw.size() - cut));
    changed.append(as_bytes(tail));
    return changed;
}

} // namespace

TEST_CASE("a manifest's files come one by one in their order", "[repository][manifest]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const Manifest manifest = sample_manifest();
    write_manifest(*memory.repository, kStanza, manifest);

    ManifestReader reader(*memory.repository, kStanza, kLabel);

    CHECK(reader.head().header.system_identifier == manifest.header.system_identifier);
    CHECK(reader.head().packs.size() == 2);
    CHECK(reader.head().directories.size() == manifest.directories.size());
    CHECK(reader.head().tablespaces.size() == 1);
    CHECK(reader.head().files.empty());
    ManifestFile file;
    for (const ManifestFile& expected : manifest.files) {
        REQUIRE(reader.next(file));
        CHECK(file.path == expected.path);
        CHECK(file.size == expected.size);
        CHECK(file.digest == expected.digest);
        CHECK(file.extents == expected.extents);
        CHECK(file.bad_pages == expected.bad_pages);
    }
    CHECK_FALSE(reader.next(file));
    CHECK_FALSE(reader.next(file));
}

TEST_CASE("a manifest without files has a head and an end", "[repository][manifest]")
{
    const MemoryRepository memory;
    Manifest manifest = sample_manifest();
    manifest.files.clear();
    write_manifest(*memory.repository, kStanza, manifest);
    ManifestReader reader(*memory.repository, kStanza, kLabel);
    ManifestFile file;
    CHECK(reader.head().names.size() == 2);
    CHECK_FALSE(reader.next(file));
    CHECK_FALSE(reader.next(file));
}

TEST_CASE("files are checked although the head was moved away", "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    Manifest manifest = sample_manifest();
    const bool is_right = GENERATE(true, false);
    if (!is_right) {
        manifest.files.back().extents.at(0).pack = 2;
    }
    write_manifest(*memory.repository, kStanza, manifest);
    ManifestReader reader(*memory.repository, kStanza, kLabel);
    const Manifest head = std::move(reader.head());
    CHECK(head.packs.size() == 2);
    if (is_right) {
        CHECK(paths_of(reader).size() == manifest.files.size());
    } else {
        CHECK_THROWS_MATCHES(paths_of(reader), Error, HasCode(ErrorCode::format));
    }
}

TEST_CASE("the end of a manifest is checked before it is said", "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    // The end record is: length 2, kind 9, six files.
    const std::string end = "\x02\x09\x06";
    REQUIRE(as_text(with_tail(memory, 3, end)) == as_text(raw_manifest(memory)));
    const auto [cut, tail] = GENERATE(table<std::size_t, std::string>({
        {0, "x"},            // bytes after the end
        {0, "\x02\x09\x06"}, // two ends
        {3, ""},             // none
        {3, "\x02\x09\x05"}, // a file too many
        {3, "\x02\x09\x07"}, // a file too few
        {3, "\x03\x09\x06\x06"},
    }));
    const Buffer changed = with_tail(memory, cut, tail);
    store_raw_manifest(memory, changed);
    ManifestReader reader(*memory.repository, kStanza, kLabel);
    CHECK_THROWS_MATCHES(paths_of(reader), Error, HasCode(ErrorCode::format));
}

TEST_CASE("an object that was cut off is noticed before the end is said",
          "[repository][manifest][bug-54]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    const std::string path = manifest_path(kStanza, kLabel);
    const Buffer object = memory.read(path);
    memory.replace(path, object.view().first(object.size() - GENERATE(1U, 40U)));
    ManifestReader reader(*memory.repository, kStanza, kLabel);
    CHECK_THROWS_MATCHES(paths_of(reader), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("the table of packs ascends by label, then by number", "[repository][manifest][bug-54]")
{
    const std::string other = std::string(kLabel) + "_20261121-030000I";
    const std::string before = "20261120-020000F";
    using Names = std::vector<PackName>;
    const auto [names, is_right] = GENERATE_COPY(table<Names, bool>({
        {{{kLabel, 0}, {kLabel, 1}}, true},
        {{{kLabel, 9}, {kLabel, 10}, {other, 0}}, true},
        {{{before, 5}, {kLabel, 1}}, true},
        {{{kLabel, 1}, {kLabel, 0}}, false},
        {{{kLabel, 1}, {kLabel, 1}}, false},
        {{{other, 0}, {kLabel, 1}}, false},
        {{{kLabel, 0}, {"pack", 1}}, false},
    }));
    const MemoryRepository memory;
    Manifest manifest = sample_manifest();
    manifest.packs.clear();
    for (const PackName& name : names) {
        manifest.packs.push_back({name, 100000});
    }
    write_manifest(*memory.repository, kStanza, manifest);
    const auto read = [&] { return read_manifest(*memory.repository, kStanza, kLabel); };
    if (is_right) {
        CHECK(read().packs.size() == names.size());
    } else {
        CHECK_THROWS_MATCHES(read(), Error, HasCode(ErrorCode::format));
    }
}

TEST_CASE("a manifest whose storage fails half-way has no end", "[repository][manifest][bug-45]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    storage::FaultPlan plan;
    plan.code = ErrorCode::file_read;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    const auto repository = Repository::open(*failing, {});
    const std::uint64_t before = plan.count;
    const auto read = [&] {
        ManifestReader reader(*repository, kStanza, kLabel);
        return paths_of(reader).size();
    };
    REQUIRE(read() == sample_manifest().files.size());
    const std::uint64_t operations = plan.count - before;
    for (std::uint64_t n = 1; n <= operations; ++n) {
        plan.count = 0;
        plan.fail_at = n;
        CAPTURE(n);
        CHECK_THROWS_MATCHES(read(), Error, HasCode(ErrorCode::file_read));
    }
}
