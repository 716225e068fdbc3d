// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// What a backup of the wanted type builds on.
struct PriorChoice {
    repository::BackupType type = repository::BackupType::full; // what it will be
    const repository::BackupSummary* prior = nullptr;           // into the list; null for a full
    std::string reason;                                         // why it became a full
};

// A diff builds on the last full, an incr on the last backup of any type, of this generation of the
// cluster. Without one that is complete with all it refers to, the backup is a full. `backups` are
// the complete ones, ascending by label.
PriorChoice choose_prior(const std::vector<repository::BackupSummary>& backups,
                         repository::BackupType wanted,
                         repository::ArchiveId archive_id);

// What keeps a backup from being built on: a manifest that cannot be read to its end, a pack that
// is missing or has another size. Empty when there is nothing of the kind.
std::string find_fault(const repository::Repository& repository,
                       const std::string& stanza,
                       const std::string& label);

} // namespace pgstrata::engine
