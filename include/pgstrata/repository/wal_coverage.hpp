// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/recovery_plan.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <cstdint>
#include <string>
#include <vector>

// What the WAL in an archive is good for: decisions over plain data, without a disk.
namespace pgstrata::repository {

// What the archive has of the WAL of one backup.
struct BackupWal {
    std::string label;
    // Of the segments from the backup's start to its stop; empty when it can be restored.
    std::vector<WalRange> missing;
    postgres::Timeline timeline = 0; // the newest that can be reached from the backup
    // The last segment that recovery gets to on the way to that timeline; empty when there is none.
    std::string last;
    // Whether there are later segments on that way, which recovery does not get to.
    bool ends_at_gap = false;
};

struct WalCoverage {
    std::vector<BackupWal> backups; // as given; an offline backup needs no WAL and misses none
    // Missing between segments that follow one another on the way to some timeline, ascending; a
    // range lies on one timeline. WAL between two backups that was left out on purpose, from right
    // after the stop of one to right before the start of another, is not among them.
    std::vector<WalRange> gaps;
    // Timelines with segments whose history is not in the archive, although it has WAL or backups
    // of an older timeline: recovery does not find the way to them.
    std::vector<postgres::Timeline> lost_histories;
};

// `segments` are the names in one archive, ascending; those that are none for the segment size are
// passed over. `backups` and `tree` are of the same archive. Of a segment that holds the end of a
// timeline recovery takes the child's copy, so the child's counts; the backup's own counts for its
// own WAL too.
WalCoverage cover_wal(const std::vector<std::string>& segments,
                      const std::vector<BackupSummary>& backups,
                      const TimelineTree& tree,
                      std::uint32_t wal_segment_size);

} // namespace pgstrata::repository
