// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/recovery_plan.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/util/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Where the WAL of one cluster is. Of several such places recovery takes each file from the first
// that has it, and those that cannot be read are passed over with a WARN unless none can.
struct WalPlace {
    const repository::Repository* repository = nullptr;
    repository::ArchiveId id;
};

// What the archive holds for a recovery from one backup along one timeline.
struct WalWindow {
    std::vector<postgres::WalSegment> segments; // without a gap from the backup's start on
    std::optional<postgres::WalSegment> gap;    // the first missing segment that later ones follow
    // True when the backup's own WAL is there, start to stop: without it nothing can be recovered.
    bool has_backup_wal = false;
};

// Reads the listings of the archives only.
WalWindow find_wal_window(const std::vector<WalPlace>& places,
                          const std::string& stanza,
                          const repository::BackupSummary& backup,
                          const std::vector<repository::WalStretch>& path,
                          std::uint32_t wal_segment_size);

// The latest commit or abort time in the newest segments of the window: what a time target must lie
// before.
struct NewestTransactionEnd {
    std::optional<std::int64_t>
        time;                      // microseconds since the Unix epoch; unset when none was found
    bool is_proved_absent = false; // the whole window was read and holds none
};
// Reads at most `depth` segments, from the newest back.
NewestTransactionEnd newest_transaction_end(const std::vector<WalPlace>& places,
                                            const std::string& stanza,
                                            const repository::Cluster& cluster,
                                            const WalWindow& window,
                                            std::size_t depth);

// What is wrong with the histories of these timelines: damaged, there with several contents, or not
// to be read while others can.
using DamagedHistories = std::map<postgres::Timeline, Error>;

// The histories of the timelines in the archive that can be made out; the others are put into
// `damaged`.
repository::TimelineTree read_sound_timelines(const repository::Repository& repository,
                                              const std::string& stanza,
                                              repository::ArchiveId id,
                                              DamagedHistories& damaged);

} // namespace pgstrata::engine
