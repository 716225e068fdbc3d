// SPDX-License-Identifier: PostgreSQL
#include "repository/extent_codec.hpp"
#include "repository/manifest_records.hpp"

#include "pgstrata/repository/manifest.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

void encode_manifest_header(const ManifestHeader& header, SerialWriter& out)
{
    out.u8(kManifestVersion);
    out.text(header.label);
    out.u8(static_cast<std::uint8_t>(header.type));
    out.text(header.prior);
    out.text(header.program_version);
    out.varint(header.archive_id.major);
    out.varint(header.archive_id.number);
    out.u64(header.system_identifier);
    out.varint(header.control_version);
    out.varint(header.catalog_version);
    out.varint(header.page_size);
    out.varint(header.segment_pages);
    out.varint(header.wal_segment_size);
    out.varint(header.data_checksum_version);
    out.u8(header.is_online ? 1 : 0);
    out.u8(header.has_page_checks ? 1 : 0);
    out.signed_varint(header.start_time);
    out.signed_varint(header.copy_time);
    out.signed_varint(header.stop_time);
    out.varint(header.timeline);
    out.u64(header.start_lsn.value);
    out.u64(header.stop_lsn.value);
    out.text(header.start_wal);
    out.text(header.stop_wal);
    out.text(header.data_directory);
    out.text(header.backup_label);
    out.text(header.tablespace_map);
}

void encode_file(const ManifestFile& file, std::string_view previous, SerialWriter& out)
{
    const auto [end, ignored] = std::ranges::mismatch(file.path, previous);
    const auto shared = static_cast<std::size_t>(end - file.path.begin());
    out.varint(shared);
    out.text(std::string_view(file.path).substr(shared));
    out.varint(file.size);
    out.signed_varint(file.mtime);
    out.varint(file.mode);
    out.varint(file.user);
    out.varint(file.group);
    out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(file.content) |
                                     (file.is_damaged ? kDamagedFlag : 0U)));
    if (file.content == ContentKind::whole) {
        out.raw(file.digest);
    }
    out.varint(file.extents.size());
    for (const Extent& extent : file.extents) {
        encode_extent(extent, out);
    }
    if (file.is_damaged) {
        out.varint(file.bad_pages.size());
        for (const std::uint32_t page : file.bad_pages) {
            out.varint(page);
        }
    }
}

void write_records(const Manifest& manifest, RecordWriter& out)
{
    out.record(RecordKind::header,
               [&](SerialWriter& fields) { encode_manifest_header(manifest.header, fields); });
    for (const PackInfo& pack : manifest.packs) {
        out.record(RecordKind::pack, [&](SerialWriter& fields) {
            fields.text(pack.name.label);
            fields.varint(pack.name.number);
            fields.varint(pack.size);
        });
    }
    for (const std::string& name : manifest.names) {
        out.record(RecordKind::name, [&](SerialWriter& fields) { fields.text(name); });
    }
    for (const ManifestDirectory& directory : manifest.directories) {
        out.record(RecordKind::directory, [&](SerialWriter& fields) {
            fields.text(directory.path);
            fields.varint(directory.mode);
            fields.varint(directory.user);
            fields.varint(directory.group);
        });
    }
    for (const ManifestLink& link : manifest.links) {
        out.record(RecordKind::link, [&](SerialWriter& fields) {
            fields.text(link.path);
            fields.text(link.destination);
            fields.u8(link.is_directory ? 1 : 0);
            fields.varint(link.mode);
            fields.varint(link.user);
            fields.varint(link.group);
        });
    }
    for (const ManifestDatabase& database : manifest.databases) {
        out.record(RecordKind::database, [&](SerialWriter& fields) {
            fields.varint(database.oid);
            fields.text(database.name);
            fields.u8(database.is_template ? 1 : 0);
        });
    }
    for (const ManifestTablespace& tablespace : manifest.tablespaces) {
        out.record(RecordKind::tablespace, [&](SerialWriter& fields) {
            fields.varint(tablespace.oid);
            fields.text(tablespace.name);
        });
    }
    std::string_view previous;
    for (const ManifestFile& file : manifest.files) {
        out.record(RecordKind::file,
                   [&](SerialWriter& fields) { encode_file(file, previous, fields); });
        previous = file.path;
    }
    out.record(RecordKind::end,
               [&](SerialWriter& fields) { fields.varint(manifest.files.size()); });
}

} // namespace

std::uint64_t
write_manifest(const Repository& repository, std::string_view stanza, const Manifest& manifest)
{
    const std::string path = manifest_path(stanza, manifest.header.label);
    const auto file = repository.storage().create(path);
    codec::ObjectWriter object(*file, {codec::ObjectKind::manifest, path}, repository.cipher());
    RecordWriter records(object);
    write_records(manifest, records);
    records.finish();
    file->commit();
    return object.size();
}

} // namespace pgstrata::repository
