// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "unit/engine/restore_fixture.hpp"
#include "unit/repository/fixture.hpp"
#include "unit/repository/manifest_sample.hpp"
#include "unit/repository/retention_fixture.hpp"

#include "pgstrata/engine/expire.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/storage/decorators.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <set>

namespace pgstrata::test {

// Backups as CatalogBuilder makes them, with something in the place of their bytes, and all WAL
// from 1 on to `last_segment` of every generation.
class ExpireFixture {
public:
    explicit ExpireFixture(const repository::CipherSetting& setting = {}) : memory(setting) {}
    // With such backups, as CatalogBuilder::add_all() takes them.
    ExpireFixture(const std::string& backups, unsigned last_segment)
    {
        builder.add_all(backups);
        write(last_segment);
    }

    void write(unsigned last_segment = 40)
    {
        last_segment_ = segment_name(last_segment);
        for (const repository::ArchiveId id : builder.catalog().archives) {
            write_archive(id, last_segment);
        }
        for (repository::BackupSummary& backup : builder.catalog().backups) {
            backup.system_identifier = system_identifier(backup.archive_id);
            // The clock that decides is the real one.
            backup.stop_time += now_seconds() - kNow;
            write_bytes(backup.label);
            repository::write_summary(*memory, kStanza, backup);
        }
    }

    void write_bytes(const std::string& label) const
    {
        put(repository::pack_path(kStanza, label, 0));
        put(repository::pack_path(kStanza, label, 1));
        write_manifest(label);
    }

    void write_manifest(const std::string& label,
                        std::vector<repository::ManifestFile> files = {}) const
    {
        repository::Manifest manifest;
        manifest.header = sample_header();
        manifest.header.label = label;
        manifest.header.type = repository::parse_backup_label(label)->type;
        manifest.header.prior.clear();
        if (manifest.header.type != repository::BackupType::full) {
            manifest.header.prior = repository::parse_backup_label(label)->full;
        }
        manifest.packs = {{{label, 0}, 1}, {{label, 1}, 1}};
        manifest.names = {"postgres", "staff"};
        manifest.files = std::move(files);
        repository::write_manifest(*memory, kStanza, manifest);
    }

    void put(const std::string& path) const
    {
        storage::write_file(*memory.storage, path, as_bytes("x"));
    }

    void write_wal(repository::ArchiveId id, const std::string& name) const
    {
        put(wal_object(id, name));
    }

    static std::string wal_object(repository::ArchiveId id, const std::string& name)
    {
        return fmt::format("{}/{}-{}.zst",
                           repository::wal_directory(kStanza, id, name),
                           name,
                           std::string(40, 'a'));
    }

    // The lease of a backup on another host.
    void write_foreign_lease(const std::string& label, UnixSeconds age) const
    {
        memory.repository->write_document(
            repository::lease_path(kStanza, label),
            {{"host", "elsewhere.example"},
             {"boot-id", "x"},
             {"pid", 1U},
             {"pid-started", 1U},
             {"renewed", static_cast<std::uint64_t>(now_seconds() - age)}},
            storage::WriteMode::replace);
    }

    engine::ExpireOptions options(const repository::RetentionPolicy& policy) const
    {
        engine::ExpireOptions options;
        options.stanza = kStanza;
        options.policy = policy;
        return options;
    }

    // The short names of the complete backups.
    std::string backups() const
    {
        std::string text;
        for (const auto& backup : repository::list_backups(*memory, kStanza, [](auto&, auto&) {})) {
            text += (text.empty() ? "" : " ") + builder.name(backup.label);
        }
        return text;
    }
    // "1-2 5-40": the segments that are in the archive.
    std::string segments(repository::ArchiveId id = {15, 1}) const
    {
        std::string text;
        unsigned last = 0;
        repository::list_segments(*memory, kStanza, id, "", [&](const std::string& name) {
            const auto number = static_cast<unsigned>(std::stoul(name.substr(16), nullptr, 16));
            if (number != last + 1 || last == 0) {
                text += fmt::format(
                    "{}{}{}-", last == 0 ? "" : std::to_string(last), last == 0 ? "" : " ", number);
            }
            last = number;
            return true;
        });
        return last == 0 ? text : text + std::to_string(last);
    }
    // Every object of the stanza.
    std::vector<std::string> objects() const
    {
        std::vector<std::string> paths;
        for (const auto* root : {"archive", "backup"}) {
            storage::list_recursively(*memory.storage, root, [&](const storage::EntryInfo& entry) {
                paths.push_back(entry.name);
            });
        }
        return paths;
    }
    std::vector<std::string> files_of(const std::string& name) const
    {
        return names_in(*memory.storage, repository::backup_path(kStanza, builder.label(name)));
    }

    // Every backup that is listed has all that it builds on, and its WAL as far as there is any.
    void check_whole() const
    {
        std::set<std::string> complete;
        for (const auto& backup : repository::list_backups(*memory, kStanza)) {
            complete.insert(backup.label);
            CAPTURE(backup.label);
            for (const std::string& label : backup.references) {
                CHECK(complete.contains(label));
            }
            CHECK(memory.storage->info(repository::manifest_path(kStanza, backup.label)));
            CHECK(memory.storage->info(repository::pack_path(kStanza, backup.label, 1)));
            for (const std::string& name : {backup.start_wal, backup.stop_wal}) {
                CHECK(
                    (name > last_segment_ ||
                     repository::find_wal(*memory, kStanza, backup.archive_id, name).size() == 1));
            }
        }
    }

    // As if the processes that held them were dead, in truth this one; not of the backup `spared`.
    void remove_leases(const std::string& spared = {}) const
    {
        for (const std::string& path : objects()) {
            const bool is_spared = !spared.empty() && path.find(spared) != std::string::npos;
            if (repository::parse_lease_name(file_name(path)) && !is_spared) {
                memory.storage->remove(path);
            }
        }
    }

    CatalogBuilder builder;
    MemoryRepository memory;

private:
    static std::string segment_name(unsigned number)
    {
        return fmt::format("0000000100000000{:08X}", number);
    }
    static std::uint64_t system_identifier(repository::ArchiveId id) { return 1000 + id.number; }

    void write_archive(repository::ArchiveId id, unsigned last_segment) const
    {
        repository::Cluster cluster;
        cluster.id = id;
        cluster.system_identifier = system_identifier(id);
        cluster.wal_segment_size = 16U << 20U;
        repository::write_cluster(*memory, kStanza, cluster);
        for (unsigned number = 1; number <= last_segment; ++number) {
            write_wal(id, segment_name(number));
        }
    }

    std::string last_segment_;
};

} // namespace pgstrata::test
