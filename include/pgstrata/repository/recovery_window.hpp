// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/wal_coverage.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Which moments can be restored from the backups and the WAL of one archive: decisions over plain
// data, without a disk.
namespace pgstrata::repository {

// All moments from the end of a backup to the last transaction in the WAL that recovery gets to.
struct WindowStretch {
    std::string label; // of the backup that it begins with
    postgres::Timeline timeline = 0;
    std::string first_wal; // that recovery takes; empty for an offline backup
    std::string last_wal;
    UnixSeconds start = 0;
    std::optional<UnixSeconds> stop; // not known until somebody has looked into the WAL
    bool ends_at_gap = false;        // later WAL is there, and cannot be reached
};

// Moments that cannot be restored, although earlier ones can.
struct WindowGap {
    std::optional<UnixSeconds> after;  // the last that can; unset when not known
    std::optional<UnixSeconds> before; // the first that can again; unset when none can
    std::vector<WalRange> missing;     // empty where WAL was left out on purpose
};

struct RecoveryWindow {
    std::vector<WindowStretch> stretches;           // ascending by start
    std::vector<WindowGap> gaps;                    // ascending
    std::vector<postgres::Timeline> lost_histories; // see WalCoverage
};

// The stretches that begin with backups whose WAL is there. Backups that recovery gets equally far
// from share one. Where the WAL ends with a backup's own the stretch is one moment, but for the
// newest, whose segment may hold more. `coverage` is that of these backups.
std::vector<WindowStretch> find_stretches(const std::vector<BackupSummary>& backups,
                                          const WalCoverage& coverage,
                                          std::uint32_t wal_segment_size);

// What lies between the stretches, and behind them where there is WAL that cannot be reached.
// `missing` as in WalCoverage::gaps.
std::vector<WindowGap> find_window_gaps(const std::vector<WindowStretch>& stretches,
                                        const std::vector<WalRange>& missing,
                                        std::uint32_t wal_segment_size);

// The last moment of all; unset when there is none or it is not known.
std::optional<UnixSeconds> window_stop(const RecoveryWindow& window);

} // namespace pgstrata::repository
