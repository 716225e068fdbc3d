// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/manifest_sample.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kFirst = "20261121-020000F_20261121-030000I";
constexpr auto kSecond = "20261121-020000F_20261121-040000I";
constexpr auto kOwn = "20261121-020000F_20261121-050000I";

ManifestFile file_in(std::string path, std::vector<std::uint32_t> packs)
{
    ManifestFile file = sample_file(std::move(path), 1);
    file.extents.clear();
    for (const std::uint32_t pack : packs) {
        file.extents.push_back({pack, 64 + pack, 100, 0, 1});
    }
    return file;
}

// The table of the prior backup: three packs of the full, two of the first delta, one of the
// second.
Manifest manifest_of(std::vector<ManifestFile> files)
{
    Manifest manifest;
    manifest.header.label = kOwn;
    manifest.packs = {{{kLabel, 0}, 1000},
                      {{kLabel, 1}, 1001},
                      {{kLabel, 2}, 1002},
                      {{kFirst, 0}, 1003},
                      {{kFirst, 3}, 1004},
                      {{kSecond, 0}, 1005}};
    manifest.files = std::move(files);
    return manifest;
}

std::string table_of(const Manifest& manifest)
{
    std::string text;
    for (const PackInfo& pack : manifest.packs) {
        text += fmt::format("{}/{}={} ",
                            pack.name.label.back() == 'F' ? "F" : pack.name.label.substr(26, 2),
                            pack.name.number,
                            pack.size);
    }
    return text;
}

std::string places_of(const Manifest& manifest)
{
    std::string text;
    for (const ManifestFile& file : manifest.files) {
        for (const Extent& extent : file.extents) {
            text += fmt::format("{}:{} ", extent.pack, extent.offset - 64);
        }
    }
    return text;
}

} // namespace

TEST_CASE("own packs enter the table and extents follow", "[repository][manifest][bug-3]")
{
    Manifest manifest =
        manifest_of({file_in("a", {0, 4}), file_in("b", {5, 6}), file_in("c", {8})});

    settle_packs(manifest, {{{kOwn, 0}, 2000}, {{kOwn, 2}, 2002}});

    CHECK(table_of(manifest) ==
          "F/0=1000 F/1=1001 F/2=1002 03/0=1003 03/3=1004 04/0=1005 05/0=2000 05/2=2002 ");
    CHECK(places_of(manifest) == "0:0 4:4 5:5 6:6 7:8 ");
    CHECK(references_of(manifest) == std::vector<std::string>{kLabel, kFirst, kSecond});
}

TEST_CASE("all packs of a backup go when nothing leads to one of them, and none before",
          "[repository][manifest][bug-3]")
{
    SECTION("of the oldest")
    {
        Manifest manifest = manifest_of({file_in("a", {3}), file_in("b", {5})});
        settle_packs(manifest, {});
        CHECK(table_of(manifest) == "03/0=1003 03/3=1004 04/0=1005 ");
        CHECK(places_of(manifest) == "0:3 2:5 ");
        CHECK(references_of(manifest) == std::vector<std::string>{kFirst, kSecond});
    }
    SECTION("of one in the middle")
    {
        Manifest manifest = manifest_of({file_in("a", {1}), file_in("b", {7, 5})});
        settle_packs(manifest, {{{kOwn, 0}, 2000}, {{kOwn, 1}, 2001}});
        CHECK(table_of(manifest) == "F/0=1000 F/1=1001 F/2=1002 04/0=1005 05/0=2000 05/1=2001 ");
        CHECK(places_of(manifest) == "1:1 5:7 3:5 ");
        CHECK(references_of(manifest) == std::vector<std::string>{kLabel, kSecond});
    }
    SECTION("of all")
    {
        Manifest manifest = manifest_of({file_in("a", {6})});
        settle_packs(manifest, {{{kOwn, 0}, 2000}});
        CHECK(table_of(manifest) == "05/0=2000 ");
        CHECK(places_of(manifest) == "0:6 ");
        CHECK(references_of(manifest).empty());
    }
}

TEST_CASE("packs of the backup itself stay although nothing leads to them",
          "[repository][manifest]")
{
    Manifest manifest = manifest_of({});
    settle_packs(manifest, {{{kOwn, 0}, 2000}});
    CHECK(table_of(manifest) == "05/0=2000 ");
}

TEST_CASE("a full backup has its own packs only", "[repository][manifest]")
{
    Manifest manifest = manifest_of({file_in("a", {0, 7})});
    manifest.header.label = kLabel;
    manifest.packs.clear();
    // Numbers that an earlier try has left out.
    settle_packs(manifest, {{{kLabel, 0}, 10}, {{kLabel, 7}, 17}, {{kLabel, 1000000000}, 18}});
    CHECK(table_of(manifest) == "F/0=10 F/7=17 F/1000000000=18 ");
    CHECK(places_of(manifest) == "0:0 1:7 ");
    CHECK(references_of(manifest).empty());
}

TEST_CASE("what lies in no finished pack makes no manifest", "[repository][manifest][bug-3]")
{
    const std::uint32_t pack = GENERATE(7U, 8U, 0xFFFFFFFFU);
    Manifest manifest = manifest_of({file_in("a", {pack})});
    CHECK_THROWS_MATCHES(settle_packs(manifest, {{{kOwn, 0}, 1}, {{kOwn, 3}, 1}}),
                         Error,
                         HasCode(ErrorCode::assertion));
}
