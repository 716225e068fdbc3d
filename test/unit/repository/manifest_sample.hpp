// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/util/serial.hpp"

namespace pgstrata::test {

inline repository::ManifestHeader sample_header()
{
    repository::ManifestHeader header;
    header.label = kLabel;
    header.program_version = "1.2.3";
    header.archive_id = {15, 2};
    header.system_identifier = 7312345678901234567;
    header.control_version = 1300;
    header.catalog_version = 202209061;
    header.page_size = 8192;
    header.segment_pages = 131072;
    header.wal_segment_size = 16U << 20U;
    header.data_checksum_version = 1;
    header.has_page_checks = true;
    header.start_time = 1795226400;
    header.copy_time = 1795226401123456789;
    header.stop_time = 1795226460;
    header.timeline = 10;
    header.start_lsn.value = 0x1A02000028;
    header.stop_lsn.value = 0x1A03000100;
    header.start_wal = "0000000A0000001A00000002";
    header.stop_wal = "0000000A0000001A00000003";
    header.data_directory = "/var/lib/postgresql/15/main";
    header.backup_label = "START WAL LOCATION: 1A/2000028 (file 0000000A0000001A00000002)\n";
    header.tablespace_map = "16400 /srv/fast\n";
    return header;
}

inline repository::ManifestFile sample_file(std::string path, std::uint32_t size)
{
    repository::ManifestFile file;
    file.path = std::move(path);
    file.size = size;
    file.mtime = 1795226000000000001;
    file.mode = 0600;
    file.group = 1;
    file.content = size == 0 ? repository::ContentKind::empty : repository::ContentKind::whole;
    if (size != 0) {
        file.digest.fill(std::byte{0x5A});
        file.extents = {{0, 64, 1000, 0, size}};
    }
    return file;
}

// Every kind of record, every kind of content, and names that other formats trip over.
inline repository::Manifest sample_manifest()
{
    using repository::ContentKind;
    repository::Manifest manifest;
    manifest.header = sample_header();
    manifest.packs = {{{kLabel, 0}, 100000}, {{kLabel, 1}, 5000}};
    manifest.names = {"postgres", "staff \xff"};
    manifest.directories = {{"", 0700, 0, 1}, {"base", 0700, 0, 1}, {"base/1", 0750, 0, 0}};
    manifest.links = {{"pg_tblspc/16400", "/srv/fast", true, 0700, 0, 1},
                      {"postgresql.conf", "../etc/postgresql.conf", false, 0644, 1, 1}};
    manifest.databases = {{1, "template1", true}, {16384, "odd = [name] # \\ \xfe", false}};
    manifest.tablespaces = {{16400, " fast"}};
    manifest.files = {sample_file("PG_VERSION", 3),
                      sample_file("base/1/1259", 16384),
                      sample_file("base/1/1259_fsm", 24576),
                      sample_file("base/1/empty", 0),
                      sample_file("base/1/odd =[#]\\ name", 10),
                      sample_file("base/1/\xff\xfe", 11)};
    manifest.files[1].content = ContentKind::paged;
    manifest.files[1].digest = {};
    manifest.files[1].extents = {{1, 64, 200, 100, 50}, {1, 264, 300, 0, 7}};
    manifest.files[2].content = ContentKind::paged;
    manifest.files[2].digest = {};
    manifest.files[2].is_damaged = true;
    manifest.files[2].bad_pages = {0, 2};
    return manifest;
}

// Stores raw records as the manifest of kLabel, in a container without a fault.
inline void store_raw_manifest(const MemoryRepository& memory, ByteView raw)
{
    const std::string path = repository::manifest_path(kStanza, kLabel);
    Buffer object;
    BufferSink sink(object);
    codec::write_object(
        sink, {codec::ObjectKind::manifest, path}, memory.repository->cipher(), raw, nullptr);
    memory.replace(path, object);
}

inline Buffer raw_manifest(const MemoryRepository& memory)
{
    const std::string path = repository::manifest_path(kStanza, kLabel);
    const auto source = memory.storage->open(path);
    return codec::read_object(*source,
                              {codec::ObjectKind::manifest, path},
                              memory.repository->cipher(),
                              std::size_t{1} << 30U);
}

} // namespace pgstrata::test
