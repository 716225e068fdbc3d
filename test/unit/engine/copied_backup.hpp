// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/frame_packer.hpp"
#include "unit/engine/restore_fixture.hpp"

#include "pgstrata/engine/copy.hpp"
#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/storage/memory.hpp"

#include <map>
#include <memory>
#include <random>
#include <string>

namespace pgstrata::test {

inline constexpr auto kRestoreStanza = "demo";

// Bytes that no two seeds share. Made once: the same are asked for by each run of a test.
inline std::string random_text(std::size_t size, unsigned seed)
{
    static std::map<unsigned, std::string> longest;
    auto& text = longest[seed];
    if (text.size() < size) {
        std::mt19937_64 random(seed);
        text.resize(size);
        for (std::size_t i = 0; i < size; i += 8) {
            const std::uint64_t value = random();
            std::memcpy(text.data() + i, &value, std::min<std::size_t>(8, size - i));
        }
    }
    return text.substr(0, size);
}

// global/pg_control as a PostgreSQL 15 writes it that made the hand-made manifest.
inline std::string control_file_text()
{
    std::string text(postgres::kControlFileSize, '\0');
    auto* const bytes = reinterpret_cast<std::byte*>(text.data());
    const auto u32 = [&](std::size_t at, std::uint32_t value) { store(bytes + at, value); };
    store<std::uint64_t>(bytes, 7000000000000000001U);
    u32(8, 1300);
    u32(12, 202209061);
    u32(16, 6);
    store<std::uint64_t>(bytes + 32, 0x300098);
    store<std::uint64_t>(bytes + 40, 0x300060);
    u32(48, 1);
    u32(216, 8192);
    u32(220, 131072);
    u32(224, 8192);
    u32(228, 1U << 20U);
    u32(288, postgres::crc32c({bytes, 288}));
    return text;
}

// A backup in a repository in memory, of files written by the test.
class CopiedBackup {
public:
    CopiedBackup() : repository(repository::Repository::open_or_create(*storage, {}))
    {
        manifest.directories.clear();
        manifest.names.clear();
    }

    void add(const std::string& path, std::string_view text) const
    {
        write_text_file(source / path, text);
    }

    // Copies what is in the source, as a backup does; pg_control comes last.
    void store_files(std::uint64_t pack_size = std::uint64_t{64} << 20U)
    {
        engine::scan_into_manifest(
            source.path(), {.major = 15, .catalog_version = 202209061}, manifest);
        const auto plan = engine::plan_full_backup(manifest, manifest.header.page_size);
        repository::PackSet packs(*repository, kRestoreStanza, manifest.header.label, pack_size);
        engine::Progress progress(plan.bytes, {});
        engine::CopyOptions options;
        options.data_directory = source.path();
        engine::copy_files(options, plan, manifest, packs, progress);
        engine::FramePacker packer(packs, manifest, {});
        add_control_file(packer);
        packer.finish();
        manifest.packs = packs.finished();
    }

    // Cluster, manifest and summary: from here on it can be restored.
    void commit()
    {
        const repository::ManifestHeader& header = manifest.header;
        repository::Cluster cluster;
        cluster.id = header.archive_id;
        cluster.system_identifier = header.system_identifier;
        cluster.control_version = header.control_version;
        cluster.catalog_version = header.catalog_version;
        cluster.page_size = header.page_size;
        cluster.wal_segment_size = header.wal_segment_size;
        repository::write_cluster(*repository, kRestoreStanza, cluster);
        repository::write_manifest(*repository, kRestoreStanza, manifest);
        repository::write_summary(*repository, kRestoreStanza, summary());
    }

    repository::BackupSummary summary() const
    {
        const repository::ManifestHeader& header = manifest.header;
        repository::BackupSummary summary;
        summary.label = header.label;
        summary.archive_id = header.archive_id;
        summary.system_identifier = header.system_identifier;
        summary.is_online = header.is_online;
        summary.start_time = header.start_time;
        summary.stop_time = header.stop_time;
        summary.timeline = header.timeline;
        summary.start_lsn = header.start_lsn;
        summary.stop_lsn = header.stop_lsn;
        summary.start_wal = header.start_wal;
        summary.stop_wal = header.stop_wal;
        summary.files = manifest.files.size();
        return summary;
    }

    repository::ManifestFile& file(std::string_view path)
    {
        return *std::ranges::find(manifest.files, path, &repository::ManifestFile::path);
    }

    Buffer read_object(std::string_view path) const
    {
        return storage::read_file(*storage, path, std::size_t{1} << 30U);
    }
    void replace_object(std::string_view path, ByteView bytes) const
    {
        storage::write_file(*storage, path, bytes, storage::WriteMode::replace);
    }

    TemporaryDirectory source;
    std::unique_ptr<storage::Storage> storage = storage::make_memory_storage();
    std::unique_ptr<repository::Repository> repository;
    repository::Manifest manifest = HandMadeManifest().manifest;

private:
    void add_control_file(engine::FramePacker& packer)
    {
        const std::string text = control_file_text();
        repository::ManifestFile control;
        control.path = postgres::kControlFilePath;
        control.size = text.size();
        control.mode = 0600;
        control.content = repository::ContentKind::whole;
        control.digest = codec::xxh3_128(as_bytes(text));
        control.extents = {packer.add_frame(as_bytes(text))};
        const auto at = std::ranges::lower_bound(
            manifest.files, control.path, {}, &repository::ManifestFile::path);
        manifest.files.insert(at, std::move(control));
    }
};

// Puts a plain file into the archive, as an uncompressed push does, and returns its path.
inline std::string archive_file(const repository::Repository& repository,
                                repository::ArchiveId id,
                                const std::string& name,
                                ByteView bytes)
{
    const std::string digest = repository::wal_digest(bytes);
    std::string path = fmt::format("{}/{}",
                                   repository::wal_directory(kRestoreStanza, id, name),
                                   repository::to_string({name, digest, false}));
    storage::write_file(repository.storage(), path, bytes);
    return path;
}

} // namespace pgstrata::test
