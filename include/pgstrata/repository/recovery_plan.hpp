// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/timeline_history.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/catalog.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// Which backup and which timeline a restore takes: decisions over plain data, without a disk.
namespace pgstrata::repository {

enum class RecoveryType : std::uint8_t {
    standard,
    immediate,
    lsn,
    name,
    time,
    xid,
    preserve,
    standby,
    none
};

struct RecoveryTarget {
    RecoveryType type = RecoveryType::standard;
    postgres::Lsn lsn; // type lsn
    // Type time, microseconds since the Unix epoch. Unset for a form that only the server can read:
    // no backup can be chosen by it.
    std::optional<std::int64_t> time;
    bool is_exclusive = false;
    // target-timeline. Not given, it is the newest that descends from the backup; `latest` is the
    // newest there is, and the backup must lie in its history, as in that of a number.
    enum class Follow : std::uint8_t { newest, latest, current, number } follow = Follow::newest;
    postgres::Timeline timeline = 0; // Follow::number
};

// The histories of all timelines that the archive has a file for.
using TimelineTree = std::map<postgres::Timeline, postgres::TimelineHistory>;

// The newest timeline that there is.
postgres::Timeline newest_timeline(const TimelineTree& tree);

// Whether recovery from the backup can surely follow the tree to `timeline`. Timeline 1 has no
// history file. Of a backup whose stop_lsn is not known, as of an offline one, only its own
// timeline is certain.
bool can_reach(const BackupSummary& backup, postgres::Timeline timeline, const TimelineTree& tree);

// The newest backup that the target allows: its end surely lies before the target, and the timeline
// asked for can be reached from it. `backups` are ascending by label. nullptr when there is none.
const BackupSummary* choose_backup(const std::vector<BackupSummary>& backups,
                                   const RecoveryTarget& target,
                                   const TimelineTree& tree);

// The timeline to end on: the one asked for (follow number or latest), the backup's own (follow
// current, type immediate), or the newest that can be reached. Throws Error(db_mismatch) when the
// one asked for cannot be reached from the backup.
postgres::Timeline choose_timeline(const BackupSummary& backup,
                                   const RecoveryTarget& target,
                                   const TimelineTree& tree);

// The segments that recovery asks for from the backup's start on, timeline by timeline: `first` to
// `last` of each, the last one open-ended.
struct WalStretch {
    postgres::WalSegment first;
    std::optional<std::uint64_t> last_number; // unset: as far as there are segments
};
std::vector<WalStretch> wal_path(const BackupSummary& backup,
                                 postgres::Timeline timeline,
                                 const TimelineTree& tree,
                                 std::uint32_t wal_segment_size);

} // namespace pgstrata::repository
