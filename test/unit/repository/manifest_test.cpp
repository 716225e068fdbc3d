// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/manifest_sample.hpp"

#include <set>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

void check_headers(const ManifestHeader& left, const ManifestHeader& right)
{
    CHECK(left.label == right.label);
    CHECK(left.type == right.type);
    CHECK(left.prior == right.prior);
    CHECK(left.program_version == right.program_version);
    CHECK(left.archive_id == right.archive_id);
    CHECK(left.system_identifier == right.system_identifier);
    CHECK(left.control_version == right.control_version);
    CHECK(left.catalog_version == right.catalog_version);
    CHECK(left.page_size == right.page_size);
    CHECK(left.segment_pages == right.segment_pages);
    CHECK(left.wal_segment_size == right.wal_segment_size);
    CHECK(left.data_checksum_version == right.data_checksum_version);
    CHECK(left.is_online == right.is_online);
    CHECK(left.has_page_checks == right.has_page_checks);
    CHECK(left.start_time == right.start_time);
    CHECK(left.copy_time == right.copy_time);
    CHECK(left.stop_time == right.stop_time);
    CHECK(left.timeline == right.timeline);
    CHECK(left.start_lsn == right.start_lsn);
    CHECK(left.stop_lsn == right.stop_lsn);
    CHECK(left.start_wal == right.start_wal);
    CHECK(left.stop_wal == right.stop_wal);
    CHECK(left.data_directory == right.data_directory);
    CHECK(left.backup_label == right.backup_label);
    CHECK(left.tablespace_map == right.tablespace_map);
}

void check_files(const ManifestFile& left, const ManifestFile& right)
{
    CAPTURE(right.path);
    CHECK(left.path == right.path);
    CHECK(left.size == right.size);
    CHECK(left.mtime == right.mtime);
    CHECK(left.mode == right.mode);
    CHECK(left.user == right.user);
    CHECK(left.group == right.group);
    CHECK(left.content == right.content);
    CHECK(left.is_damaged == right.is_damaged);
    CHECK(left.digest == right.digest);
    CHECK(left.extents == right.extents);
    CHECK(left.bad_pages == right.bad_pages);
}

std::string directory_text(const ManifestDirectory& entry)
{
    return fmt::format("{} {:o} {} {}", entry.path, entry.mode, entry.user, entry.group);
}

std::string link_text(const ManifestLink& entry)
{
    return fmt::format("{} {} {} {:o} {} {}",
                       entry.path,
                       entry.destination,
                       entry.is_directory,
                       entry.mode,
                       entry.user,
                       entry.group);
}

template <typename Entry, typename Text>
void check_all(const std::vector<Entry>& left, const std::vector<Entry>& right, const Text& text)
{
    REQUIRE(left.size() == right.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
        CHECK(text(left[i]) == text(right[i]));
    }
}

void check_manifests(const Manifest& left, const Manifest& right)
{
    check_headers(left.header, right.header);
    CHECK(left.names == right.names);
    check_all(left.packs, right.packs, [](const PackInfo& pack) {
        return fmt::format("{}/{} {}", pack.name.label, pack.name.number, pack.size);
    });
    check_all(left.directories, right.directories, directory_text);
    check_all(left.links, right.links, link_text);
    check_all(left.databases, right.databases, [](const ManifestDatabase& entry) {
        return fmt::format("{} {} {}", entry.oid, entry.name, entry.is_template);
    });
    check_all(left.tablespaces, right.tablespaces, [](const ManifestTablespace& entry) {
        return fmt::format("{} {}", entry.oid, entry.name);
    });
    REQUIRE(left.files.size() == right.files.size());
    for (std::size_t i = 0; i < left.files.size(); ++i) {
        check_files(left.files[i], right.files[i]);
    }
}

// More than two frames of records, with paths that share little.
Manifest long_manifest()
{
    Manifest manifest = sample_manifest();
    std::set<std::string> paths;
    std::uint64_t state = 1;
    while (paths.size() < 40000) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        paths.insert(fmt::format("base/{:016x}{:x}", state, state >> 13U));
    }
    manifest.files.clear();
    for (const std::string& path : paths) {
        manifest.files.push_back(sample_file(path, static_cast<std::uint32_t>(path.size())));
    }
    return manifest;
}

} // namespace

TEST_CASE("a manifest comes back as it was", "[repository][manifest][bug-2][bug-3][bug-6]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const Manifest manifest = sample_manifest();

    const std::uint64_t size = write_manifest(*memory.repository, kStanza, manifest);

    check_manifests(read_manifest(*memory.repository, kStanza, kLabel), manifest);
    CHECK(size == memory.read(manifest_path(kStanza, kLabel)).size());
}

TEST_CASE("a manifest of an empty, stopped cluster comes back", "[repository][manifest]")
{
    const MemoryRepository memory;
    Manifest manifest;
    manifest.header = sample_header();
    manifest.header.is_online = false;
    manifest.header.start_lsn = {};
    manifest.header.start_wal.clear();
    manifest.header.stop_wal.clear();
    manifest.header.backup_label.clear();
    write_manifest(*memory.repository, kStanza, manifest);
    check_manifests(read_manifest(*memory.repository, kStanza, kLabel), manifest);
}

TEST_CASE("a manifest of an incremental backup names packs of others",
          "[repository][manifest][bug-3]")
{
    const MemoryRepository memory;
    Manifest manifest = sample_manifest();
    manifest.header.label = std::string(kLabel) + "_20261121-030000I";
    manifest.header.type = BackupType::incr;
    manifest.header.prior = kLabel;
    manifest.packs[1].name = {manifest.header.label, 0};
    write_manifest(*memory.repository, kStanza, manifest);
    check_manifests(read_manifest(*memory.repository, kStanza, manifest.header.label), manifest);
}

TEST_CASE("records run on from frame to frame", "[repository][manifest]")
{
    const MemoryRepository memory;
    const Manifest manifest = long_manifest();
    write_manifest(*memory.repository, kStanza, manifest);
    CHECK(raw_manifest(memory).size() > 2 * codec::kFrameRawLimit);

    const Manifest back = read_manifest(*memory.repository, kStanza, kLabel);

    REQUIRE(back.files.size() == manifest.files.size());
    for (std::size_t i = 0; i < back.files.size(); i += 97) {
        check_files(back.files[i], manifest.files[i]);
    }
}

TEST_CASE("a file with more extents than fit a frame comes back", "[repository][manifest]")
{
    const MemoryRepository memory;
    Manifest manifest = sample_manifest();
    ManifestFile file = sample_file("large", 0);
    file.content = ContentKind::whole;
    file.extents.assign(150000, {1, 4000, 1000, 1000000, 48576});
    file.size = 150000ULL * 48576;
    manifest.files.push_back(file);
    write_manifest(*memory.repository, kStanza, manifest);
    check_manifests(read_manifest(*memory.repository, kStanza, kLabel), manifest);
}

TEST_CASE("equal manifests are equal bytes", "[repository][manifest]")
{
    const MemoryRepository first;
    const MemoryRepository second;
    write_manifest(*first.repository, kStanza, sample_manifest());
    write_manifest(*second.repository, kStanza, sample_manifest());
    CHECK(as_text(raw_manifest(first)) == as_text(raw_manifest(second)));
}

TEST_CASE("a manifest is written once", "[repository][manifest]")
{
    const MemoryRepository memory;
    write_manifest(*memory.repository, kStanza, sample_manifest());
    CHECK_THROWS_MATCHES(write_manifest(*memory.repository, kStanza, sample_manifest()),
                         Error,
                         HasCode(ErrorCode::file_exists));
}

TEST_CASE("a missing manifest is missing, not empty", "[repository][manifest]")
{
    const MemoryRepository memory;
    CHECK_THROWS_MATCHES(read_manifest(*memory.repository, kStanza, kLabel),
                         Error,
                         HasCode(ErrorCode::file_missing));
}

TEST_CASE("a manifest in another backup's place is refused", "[repository][manifest][bug-51]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    const std::string other = "20261122-020000F";
    write_manifest(*memory.repository, kStanza, sample_manifest());
    memory.replace(manifest_path(kStanza, other), memory.read(manifest_path(kStanza, kLabel)));
    CHECK_THROWS_MATCHES(read_manifest(*memory.repository, kStanza, other),
                         Error,
                         HasCode(memory.repository->cipher().type == codec::CipherType::none
                                     ? ErrorCode::format
                                     : ErrorCode::crypto));
}
