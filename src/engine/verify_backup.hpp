// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/verify.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/damage.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// A backup by its documents.
struct InspectedBackup {
    VerifiedBackup result;
    // What its WAL is told from: backup.json, or the manifest where that cannot be read.
    std::optional<repository::BackupSummary> summary;
    bool has_manifest = false;  // whose beginning can be read
    bool is_unreadable = false; // not even what it has can be listed
    bool is_dead = false;       // not complete, and nobody works on it
    std::vector<repository::PackInfo> packs;
};

// The backup is not valid and cannot be restored because of it.
void add_fault(InspectedBackup& backup, FaultKind kind, std::string path, std::string problem);

// A backup that died is in progress as long as the next one may go on with it. nullopt for one that
// is expired and partly removed.
std::optional<InspectedBackup> inspect_backup(const repository::Repository& repository,
                                              const std::string& stanza,
                                              const std::string& label);

// The packs of all backups, ascending; that manifests differ about one is a fault.
std::vector<repository::PackInfo> collect_packs(const std::string& stanza,
                                                std::vector<InspectedBackup>& backups);

// Whether the backup was removed since it was inspected, which a WARN says.
bool is_removed(const repository::Repository& repository,
                const std::string& stanza,
                const InspectedBackup& backup);

// The summaries of complete backups that are none of `backups`, or were not complete then.
std::vector<repository::BackupSummary> newer_summaries(const repository::Repository& repository,
                                                       const std::string& stanza,
                                                       const std::vector<InspectedBackup>& backups);

// Puts the files that damage hits into the result.
void find_lost_files(const repository::Repository& repository,
                     const std::string& stanza,
                     const repository::Damage& damage,
                     InspectedBackup& backup);

// Takes the segments that the backup has in its own pg_wal out of those it misses.
void subtract_own_wal(const repository::Repository& repository,
                      const std::string& stanza,
                      std::uint32_t wal_segment_size,
                      InspectedBackup& backup);

// Faults of the repository's identity and key slots, also those that another passphrase opens, and
// of the copies of both.
std::vector<VerifyFault> verify_identity(const repository::Repository& repository);
// The same of the two descriptions of a generation.
std::vector<VerifyFault> verify_cluster(const repository::Repository& repository,
                                        const std::string& stanza,
                                        repository::ArchiveId id);
// Faults of the records of removed backups.
std::vector<VerifyFault> verify_history(const repository::Repository& repository,
                                        const std::string& stanza);

} // namespace pgstrata::engine
