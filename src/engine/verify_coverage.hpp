// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/verify_archive.hpp"
#include "engine/verify_backup.hpp"

#include <set>
#include <string>
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

// The names of the segments in the archive, ascending. Of one that is there twice nobody can say
// which is right: it is not among them.
std::vector<std::string> segments_of(const ArchiveListing& listing);

// The segments from the start to the stop of each backup, as far as they are in the archive.
std::set<std::string> needed_segments(const repository::Cluster& cluster,
                                      const ArchiveListing& listing,
                                      const std::vector<InspectedBackup>& backups);

// Says what WAL the backups of the archive have and, unless there is but one to verify, where the
// archive has gaps, WAL that was dropped on purpose included.
void cover_archive(const repository::Repository& repository,
                   const VerifyOptions& options,
                   const ReadArchive& archive,
                   std::vector<InspectedBackup>& backups);

} // namespace pgstrata::engine
