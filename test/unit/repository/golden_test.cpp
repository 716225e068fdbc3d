// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/storage/posix.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kPassphrase = "golden passphrase of a person";
constexpr auto kFull = "20261121-020000F";
constexpr auto kIncremental = "20261121-020000F_20261121-030000I";

// One of the repositories under test/golden, read in place.
struct Golden {
    explicit Golden(const CipherSetting& setting)
        : storage(storage::make_posix_storage(
              {.root = fmt::format(
                   "{}/format-1/{}", PGSTRATA_GOLDEN, codec::cipher_name(setting.type))})),
          repository(Repository::open(*storage, setting))
    {
    }
    std::string wal(const std::string& name) const
    {
        const auto found = find_wal(*repository, kStanza, kArchiveId, name);
        REQUIRE(found.size() == 1);
        return std::string(
            as_text(read_wal(*repository, kStanza, kArchiveId, found.front(), 1U << 20U)));
    }

    std::unique_ptr<storage::Storage> storage;
    std::unique_ptr<Repository> repository;
};

CipherSetting any_setting()
{
    using codec::CipherType;
    return GENERATE(CipherSetting(),
                    CipherSetting{CipherType::aes_256_gcm, kPassphrase},
                    CipherSetting{CipherType::aes_256_gcm, kGeneratedPassphrase},
                    CipherSetting{CipherType::aes_256_cbc, kPassphrase},
                    CipherSetting{CipherType::aes_256_cbc, kGeneratedPassphrase});
}

std::vector<PageMap>
read_maps(const Golden& golden, const Manifest& manifest, const ManifestFile& file)
{
    PackReader reader(*golden.repository, kStanza, manifest.packs);
    return read_page_maps(reader, manifest.packs, file.extents, file.path);
}

// The bytes that the maps lead to, each page checked against its hash.
std::string
read_pages(const Golden& golden, const Manifest& manifest, const std::vector<PageMap>& maps)
{
    const FilePages pages(maps, "a file");
    PackReader reader(*golden.repository, kStanza, manifest.packs);
    std::string bytes;
    for (const PageRun& run : pages.runs()) {
        bytes += as_text(reader.read(run.where));
    }
    const std::size_t size = pages.page_size();
    REQUIRE(bytes.size() == pages.count() * size);
    for (std::size_t i = 0; i < pages.count(); ++i) {
        const ByteView page = as_bytes(bytes).subspan(i * size, size);
        CHECK(codec::page_hash(page, golden.repository->page_hash_key()) == pages.hashes()[i]);
    }
    return bytes;
}

} // namespace

TEST_CASE("the catalog of format 1 is read", "[repository][golden]")
{
    const Golden golden(any_setting());
    const auto clusters = list_clusters(*golden.repository, kStanza);
    REQUIRE(clusters.size() == 1);
    CHECK(clusters[0].id == kArchiveId);
    CHECK(clusters[0].system_identifier == 7312345678901234567);
    CHECK(clusters[0].wal_segment_size == 1U << 20U);

    const auto backups = list_backups(*golden.repository, kStanza);
    REQUIRE(backups.size() == 2);
    CHECK(backups[0].label == kFull);
    CHECK(backups[0].start_wal == "000000020000001A00000020");
    CHECK(backups[0].start_lsn.value == 0x1A02000028);
    CHECK(backups[0].damaged_files == std::vector<std::string>{"base/1/1259"});
    CHECK(backups[1].label == kIncremental);
    CHECK(backups[1].type == BackupType::incr);
    CHECK(backups[1].prior == kFull);
    CHECK(backups[1].references == std::vector<std::string>{kFull});
    CHECK(backups[1].size == 24579);
    CHECK(backups[1].delta == 8192);
    CHECK(backups[1].annotations.at("reason") == "golden");

    const auto lease = read_lease(*golden.repository, kStanza, "20261122-020000F");
    REQUIRE(lease);
    CHECK(lease->host == "db1.example");
    CHECK(lease->pid == 4711);
    CHECK(lease->renewed == 1795312800);
}

TEST_CASE("the WAL of format 1 is read", "[repository][golden]")
{
    const Golden golden(any_setting());
    std::string segment;
    for (std::size_t i = 0; segment.size() < 1U << 20U; ++i) {
        segment += static_cast<char>('A' + i % 26);
    }
    CHECK(golden.wal("000000020000001A00000020") == segment);
    CHECK(golden.wal("000000020000001A00000021.partial") == segment.substr(0, 1000));
    CHECK(golden.wal("000000020000001A00000020.00000028.backup") ==
          "START WAL LOCATION: 1A/2000028\n");
    const auto history = read_timeline_history(*golden.repository, kStanza, kArchiveId, 2);
    REQUIRE(history);
    REQUIRE(history->size() == 1);
    CHECK(history->front().switch_point.value == 0x1A01000000);
}

TEST_CASE("a full backup of format 1 is read", "[repository][golden]")
{
    const Golden golden(any_setting());
    const Manifest manifest = read_manifest(*golden.repository, kStanza, kFull);

    CHECK(manifest.header.timeline == 2);
    CHECK(manifest.header.copy_time == 1795226401123456789);
    CHECK(manifest.header.tablespace_map == "16400 /srv/fast\n");
    CHECK(manifest.names == std::vector<std::string>{"postgres", "dba"});
    CHECK(manifest.directories.size() == 3);
    REQUIRE(manifest.links.size() == 1);
    CHECK(manifest.links[0].destination == "/srv/fast");
    REQUIRE(manifest.databases.size() == 2);
    CHECK(manifest.databases[1].name == "odd = [name]");
    CHECK(manifest.tablespaces.size() == 1);
    REQUIRE(manifest.files.size() == 3);
    PackReader reader(*golden.repository, kStanza, manifest.packs);
    const ByteView version = reader.read(manifest.files[0].extents.at(0));
    CHECK(as_text(version) == "15\n");
    CHECK(codec::xxh3_128(version) == manifest.files[0].digest);
    CHECK(manifest.files[1].bad_pages == std::vector<std::uint32_t>{1});
    const std::vector<PageMap> maps = read_maps(golden, manifest, manifest.files[1]);
    REQUIRE(maps.size() == 1);
    CHECK(maps[0].is_dense);
    CHECK(read_pages(golden, manifest, maps) == std::string(8192, '\1') + std::string(8192, '\2'));
    CHECK(manifest.files[2].content == ContentKind::empty);
}

TEST_CASE("an incremental backup of format 1 is read, with what it refers to",
          "[repository][golden]")
{
    const Golden golden(any_setting());
    const Manifest manifest = read_manifest(*golden.repository, kStanza, kIncremental);

    CHECK(manifest.header.prior == kFull);
    REQUIRE(manifest.packs.size() == 2);
    CHECK(manifest.packs[0].name == PackName{kFull, 0});
    CHECK(manifest.packs[1].name == PackName{kIncremental, 0});
    PackReader reader(*golden.repository, kStanza, manifest.packs);
    CHECK(as_text(reader.read(manifest.files.at(0).extents.at(0))) == "15\n");
    const ManifestFile& file = manifest.files.at(1);
    CHECK(file.bad_pages == std::vector<std::uint32_t>{1});
    const std::vector<PageMap> maps = read_maps(golden, manifest, file);
    REQUIRE(maps.size() == 2);
    CHECK_FALSE(maps[0].is_dense);
    CHECK(maps[0].file_pages == 3);
    CHECK(maps[0].numbers == std::vector<std::uint32_t>{2});
    CHECK(maps[0].extents.at(0).pack == 1);
    CHECK(maps[1].is_dense);
    CHECK(maps[1].file_pages == 2);
    CHECK(read_pages(golden, manifest, maps) ==
          std::string(8192, '\1') + std::string(8192, '\2') + std::string(8192, '\t'));
    CHECK(references_of(manifest) == std::vector<std::string>{kFull});
}
