// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Which backups and which WAL the rules of retention leave. Decided here over plain data; the
// engine carries it out.
namespace pgstrata::repository {

enum class FullRetention : std::uint8_t { count, days };

// The newest backup of each of so many hours, days, ISO weeks, months and years (UTC) stays.
struct KeepCounts {
    std::uint64_t hourly = 0;
    std::uint64_t daily = 0;
    std::uint64_t weekly = 0;
    std::uint64_t monthly = 0;
    std::uint64_t yearly = 0;
};

struct RetentionPolicy {
    // The classic rules; what is not set removes nothing.
    std::optional<std::uint64_t> full; // backups or days
    FullRetention full_type = FullRetention::count;
    std::optional<std::uint64_t> diff;    // backups, fulls included
    std::optional<std::uint64_t> archive; // backups with continuous WAL
    BackupType archive_type = BackupType::full;
    std::optional<std::uint64_t> history; // days for which records of removed backups stay
    // Our own.
    std::map<std::string, std::uint64_t> schedules; // seconds of life, from the stop
    std::optional<KeepCounts> keep;
    std::optional<std::uint64_t> manual; // backups without a schedule
    std::optional<std::uint64_t> pitr;   // seconds
};

// What one run is asked to do besides.
struct RetentionRequest {
    std::string
        set; // label of the one to remove with its dependents, without the rules for backups
    bool is_oldest = false;     // remove the oldest full
    std::string archive_before; // only WAL of the current cluster below this segment goes
};

struct RetentionCatalog {
    std::vector<BackupSummary> backups;   // ascending by label, notes applied
    std::vector<ArchiveId> archives;      // ascending by number, so that the last is current
    std::vector<std::string> unreadable;  // labels of complete backups without a readable summary
    std::vector<std::string> in_progress; // labels with a fresh lease
    // Labels among `backups` that cannot be restored, as far as is known. They do not count, and
    // with what builds on them they go when a full that is newer and counts does.
    std::vector<std::string> flawed;
};

// Why no WAL goes.
enum class WalHold : std::uint8_t {
    none,
    not_set,      // no rule says anything about it
    not_limited,  // a limit is given, which is for the current cluster only
    time_not_met, // no full is older than the days for which fulls are kept
    too_few,      // fewer backups than have continuous WAL
    no_window,    // no backup that the time for which any moment can be restored begins with
    no_start,     // the backup that it would be kept from does not say where it begins
    unreadable,   // a backup that cannot be read may need it
    in_progress,  // a backup in progress may need it
};

// What goes of the archive of one generation.
struct ArchivePlan {
    ArchiveId id;
    WalHold hold = WalHold::none;
    bool is_dropped = false;                 // all of it, with the description of the cluster
    std::string keep_from;                   // all segments from this name on stay
    std::vector<WalRange> kept;              // and those, both ends included; ascending by `first`
    std::string limit;                       // if set, segments from this name on stay too
    std::optional<UnixSeconds> stored_since; // and objects that were stored since then
    std::vector<postgres::Timeline> timelines; // of kept backups, ascending
};

// By the first 24 digits of a segment's name; `from` to `to` are both kept entirely or not at all.
bool is_kept(const ArchivePlan& plan, std::string_view segment);
// Whether any segment from `first` to `last` is kept.
bool is_any_kept(const ArchivePlan& plan, std::string_view first, std::string_view last);
// Whether the history file of the timeline is.
bool is_history_kept(const ArchivePlan& plan, postgres::Timeline timeline);

// A backup that goes with all that builds on it.
struct ExpiredSet {
    std::string reason;              // "full", "time-based full", "diff", "schedule daily"...
    std::vector<std::string> labels; // ascending
};

struct RetentionPlan {
    std::vector<ExpiredSet> expired;   // oldest first
    std::vector<std::string> removals; // all their labels, in the order in which they go
    std::vector<ArchivePlan> archives;
    std::optional<UnixSeconds> history_before; // records of backups made before go
    bool has_set = false;                      // what is asked for is there
    bool is_newest_gone = false;
    std::vector<std::string> warnings;
};

// Throws Error(backup_set_invalid) for a set that must not be removed, Error(lock_acquire) for one
// that a backup in progress may build on.
RetentionPlan plan_retention(const RetentionCatalog& catalog,
                             const RetentionPolicy& policy,
                             UnixSeconds now,
                             const RetentionRequest& request = {});

// What decides about a backup: "pinned", "life", "schedule NAME", "manual", "keep" or "classic".
struct RetentionClass {
    std::string name;
    std::optional<UnixSeconds> expires; // of those that have a life
};
RetentionClass classify_retention(const RetentionPolicy& policy, const BackupSummary& summary);

} // namespace pgstrata::repository
