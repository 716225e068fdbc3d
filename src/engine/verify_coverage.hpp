// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/verify_archive.hpp"
#include "engine/verify_backup.hpp"

#include <vector>

namespace pgstrata::engine {

// An archive whose files were read, and where its gaps go.
struct ReadArchive {
    const repository::Cluster& cluster;
    const ArchiveListing& listing; // without what is damaged
    VerifiedArchive& result;
    // Backups that ended since the others were looked at: where WAL begins and ends on purpose.
    const std::vector<repository::BackupSummary>& newer;
};

// Says what WAL the backups of the archive have and, unless there is but one to verify, where the
// archive has gaps, WAL that was dropped on purpose included. Of a segment that is there twice
// nobody can say which is right: it is missing.
void cover_archive(const repository::Repository& repository,
                   const VerifyOptions& options,
                   const ReadArchive& archive,
                   std::vector<InspectedBackup>& backups);

} // namespace pgstrata::engine
