// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/twin.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::repository {

// archive/<stanza>/<pg>-<n>/cluster.json: who may archive and be backed up here. Written once, and
// kept twice (twin.hpp).
struct Cluster {
    ArchiveId id;
    std::uint64_t system_identifier = 0;
    std::uint32_t control_version = 0;
    std::uint32_t catalog_version = 0;
    std::uint32_t page_size = 0;
    std::uint32_t wal_segment_size = 0;
};

Cluster make_cluster(const postgres::ControlFile& control, unsigned number);
void write_cluster(const Repository& repository, std::string_view stanza, const Cluster& cluster);
// Ascending by number, whether they can be read or not.
std::vector<ArchiveId> list_archive_ids(const Repository& repository, std::string_view stanza);
// Mends both descriptions of a generation by mend_twin(); makes the copy where there is none.
void mend_cluster(const Repository& repository, std::string_view stanza, ArchiveId id);
// The same where there is no copy.
void make_missing_copy(const Repository& repository, std::string_view stanza, ArchiveId id);
// What is wrong with them, as inspect_twin().
std::vector<TwinFault> inspect_cluster(const Repository& repository,
                                       std::string_view stanza,
                                       ArchiveId id,
                                       const ErrorJudge& is_of_object);
// The paths of both, in the order in which they are to be removed: the last removal counts.
std::vector<std::string> cluster_paths(std::string_view stanza, ArchiveId id);
// nullopt where a stanza-create that was cut off left an empty directory. Throws
// Error(file_missing) for WAL without the description of its cluster.
std::optional<Cluster>
read_cluster(const Repository& repository, std::string_view stanza, ArchiveId id);
// Ascending by number; empty when the stanza does not exist. Throws when one cannot be read.
std::vector<Cluster> list_clusters(const Repository& repository, std::string_view stanza);

// backup/<stanza>/<label>/backup.json: what info shows, and the proof that the backup is complete.
struct BackupSummary {
    std::string label;
    BackupType type = BackupType::full;
    std::string prior;
    std::vector<std::string> references; // labels of other backups whose packs it needs, sorted
    std::string program_version;
    ArchiveId archive_id;
    std::uint64_t system_identifier = 0;
    bool is_online = true;
    UnixSeconds start_time = 0;
    UnixSeconds stop_time = 0;
    postgres::Timeline timeline = 0;
    postgres::Lsn start_lsn;
    postgres::Lsn stop_lsn;
    std::string start_wal;
    std::string stop_wal;
    std::uint64_t size = 0;             // bytes of the cluster
    std::uint64_t delta = 0;            // bytes copied by this backup
    std::uint64_t read = 0;             // bytes of the cluster that were read for it
    std::uint64_t repository_size = 0;  // bytes in the repository of all packs it needs
    std::uint64_t repository_delta = 0; // bytes this backup added
    std::uint64_t manifest_size = 0;
    std::uint64_t files = 0;
    std::vector<std::string> damaged_files;
    std::string host;
    std::string change_tracking; // how changes were found: "full", "scan" or "summary"
    std::string schedule;        // that it was made by; empty for none
    std::uint64_t retain = 0;    // seconds from its stop for which it lives, 0: by the rules
    bool is_pinned = false;      // no rule removes it; known from notes only
    std::map<std::string, std::string> annotations;
};

// Bytes of the cluster that the backup takes from others, before compression.
inline std::uint64_t shared_bytes(const BackupSummary& summary) noexcept
{
    return summary.size - std::min(summary.size, summary.delta);
}

// Makes the backup exist: the last object that is written.
void write_summary(const Repository& repository,
                   std::string_view stanza,
                   const BackupSummary& summary);
// With what its notes say. nullopt when the backup is not complete (there is no backup.json).
std::optional<BackupSummary>
read_summary(const Repository& repository, std::string_view stanza, std::string_view label);
// backup/<stanza>/history/<label>.json: what was known of a backup that is removed, written before
// anything of it goes. Does nothing when there is one.
void write_history(const Repository& repository,
                   std::string_view stanza,
                   const BackupSummary& summary);
// What that record says; nullopt when there is none.
std::optional<BackupSummary>
read_history(const Repository& repository, std::string_view stanza, std::string_view label);
// The labels that have such a record, ascending.
std::vector<std::string> list_history(const Repository& repository, std::string_view stanza);
// Hears of a complete backup whose summary cannot be read.
using UnreadableBackup = std::function<void(const std::string& label, const Error& error)>;
// Says with a WARN that the backup is passed over.
void warn_of_unreadable_backup(const std::string& label, const Error& error);
// The complete backups, ascending by label. One that cannot be read is told to `unreadable` and
// passed over; without it the error is thrown.
std::vector<BackupSummary> list_backups(const Repository& repository,
                                        std::string_view stanza,
                                        const UnreadableBackup& unreadable = {});
struct BackupCatalog {
    std::vector<BackupSummary> backups;  // as list_backups() has them
    std::vector<std::string> incomplete; // labels without a summary, ascending
};
BackupCatalog read_backups(const Repository& repository,
                           std::string_view stanza,
                           const UnreadableBackup& unreadable = {});
// The labels of all backup directories, complete or not, ascending.
std::vector<std::string> list_labels(const Repository& repository, std::string_view stanza);
// Every stanza that has an archive or a backup directory, ascending.
std::vector<std::string> list_stanzas(const storage::Storage& storage);

} // namespace pgstrata::repository
