// SPDX-License-Identifier: PostgreSQL
#include "engine/recovery_check.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::RecoveryTarget;
using repository::RecoveryType;

// How many of the newest segments are looked at for the last commit before a time target is let
// through unproved.
constexpr std::size_t kCommitSearchDepth = 16;

// The default of the server takes the newest history file there is, even a clone's: the number that
// was checked is written. A standby has to follow whatever its primary does.
std::string target_timeline(const RecoveryInputs& inputs, postgres::Timeline timeline)
{
    const RecoveryTarget& target = inputs.options.target;
    const bool is_given = target.follow == RecoveryTarget::Follow::number;
    if (inputs.options.settings.type == RecoveryType::standby && !is_given) {
        return target.follow == RecoveryTarget::Follow::current ? "current" : "";
    }
    // The server wants the history file of any number but 1.
    return timeline == 1 || inputs.tree.contains(timeline) ? std::to_string(timeline) : "current";
}

// What the server would refuse to follow, even should it hold what is sought.
void warn_of_newer_timeline(const RecoveryInputs& inputs, postgres::Timeline timeline)
{
    const postgres::Timeline newest = repository::newest_timeline(inputs.tree);
    const bool is_chosen_here = inputs.options.target.follow == RecoveryTarget::Follow::newest &&
                                inputs.options.settings.type != RecoveryType::immediate;
    if (is_chosen_here && newest > timeline) {
        log::warn("timeline {} is newer but cannot be reached from backup {}: recovery follows "
                  "timeline {}",
                  newest,
                  inputs.backup.label,
                  timeline);
    }
}

// Whether the backup carries WAL of its own that fills up what the archive has of the WAL it needs.
bool has_own_wal(const RecoveryInputs& inputs, const WalWindow& window)
{
    const std::uint32_t segment_size = inputs.cluster.wal_segment_size;
    const auto stop = postgres::parse_wal_segment(inputs.backup.stop_wal, segment_size);
    auto needed = postgres::parse_wal_segment(inputs.backup.start_wal, segment_size);
    for (; needed && stop && needed->number <= stop->number; ++needed->number) {
        const auto& files = inputs.manifest.files;
        const std::string path = "pg_wal/" + postgres::to_string(*needed, segment_size);
        const auto at = std::ranges::lower_bound(files, path, {}, &repository::ManifestFile::path);
        const bool is_in_backup = at != files.end() && at->path == path;
        if (!is_in_backup && std::ranges::find(window.segments, *needed) == window.segments.end()) {
            return false;
        }
    }
    return needed && stop;
}

// Somebody else's restore_command may find WAL where we do not look.
bool uses_our_archive(const RecoveryInputs& inputs)
{
    return std::ranges::none_of(inputs.options.settings.options, [](const auto& option) {
        return option.first == "restore_command" || option.first == "restore-command";
    });
}

void check_backup_wal(const RecoveryInputs& inputs, const RecoveryPlan& plan)
{
    if (plan.has_backup_wal || !uses_our_archive(inputs)) {
        return;
    }
    throw Error(ErrorCode::file_missing,
                fmt::format("backup {} cannot become consistent: the archive does not have all "
                            "WAL from {} to {}",
                            inputs.backup.label,
                            inputs.backup.start_wal,
                            inputs.backup.stop_wal),
                "choose another backup with --set, or --type=none to recover by other means");
}

void check_time_target(const RecoveryInputs& inputs, RecoveryPlan& plan)
{
    const RecoveryTarget& target = inputs.options.target;
    if (!target.time) {
        log::warn("unable to check whether the archive reaches target time '{}': only the server "
                  "can read it, and recovery fails when it does not",
                  inputs.options.settings.target);
        return;
    }
    // Only a backup named with --set comes to this, and only the server can tell: it depends on
    // whether anything was committed between.
    if (inputs.backup.stop_time * kMicrosecondsPerSecond > *target.time) {
        log::warn("target time '{}' lies before the end of backup {}: recovery fails when a "
                  "transaction ended between",
                  inputs.options.settings.target,
                  inputs.backup.label);
    }
    if (!uses_our_archive(inputs)) {
        return;
    }
    plan.newest_commit = find_newest_commit(inputs, *plan.window);
    const NewestTransactionEnd& newest = *plan.newest_commit;
    if (!newest.time && !newest.is_proved_absent) {
        log::warn("the newest WAL in the archive holds no commit: whether the target time can be "
                  "reached is not known");
        return;
    }
    const bool is_within = newest.time && (target.is_exclusive ? *newest.time >= *target.time
                                                               : *newest.time > *target.time);
    if (!is_within) {
        const std::string reason =
            newest.time
                ? fmt::format("the last commit in the archive is of {}",
                              format_timestamp_microseconds(*newest.time))
                : fmt::format("the archive holds no commit after backup {}", inputs.backup.label);
        throw Error(ErrorCode::backup_set_invalid,
                    fmt::format("target time '{}' cannot be reached: {}",
                                inputs.options.settings.target,
                                reason),
                    "recovery would fail; choose an earlier time, or --type=default to recover "
                    "all there is");
    }
}

void check_lsn_target(const RecoveryInputs& inputs, const WalWindow& window)
{
    const postgres::Lsn lsn = inputs.options.target.lsn;
    const std::string& text = inputs.options.settings.target;
    if (lsn < inputs.backup.stop_lsn) {
        throw Error(ErrorCode::backup_set_invalid,
                    fmt::format("target lsn '{}' lies before {}, where backup {} becomes "
                                "consistent",
                                text,
                                postgres::to_string(inputs.backup.stop_lsn),
                                inputs.backup.label),
                    "choose an earlier backup with --set, or a later lsn");
    }
    const std::uint32_t segment_size = inputs.cluster.wal_segment_size;
    const auto wanted = postgres::segment_of(inputs.backup.timeline, lsn, segment_size).number;
    const bool is_there = !window.segments.empty() && window.segments.back().number >= wanted;
    if (uses_our_archive(inputs) && !is_there) {
        throw Error(
            ErrorCode::backup_set_invalid,
            fmt::format("target lsn '{}' cannot be reached: the archive ends with WAL segment {}",
                        text,
                        window.segments.empty()
                            ? "(none)"
                            : postgres::to_string(window.segments.back(), segment_size)),
            "recovery would fail; choose an earlier lsn, or --type=default to recover all there "
            "is");
    }
}

// "; it was dropped ..." where somebody has left word of that.
std::string recorded_reason(const RecoveryInputs& inputs, const std::string& segment)
{
    for (const WalPlace& place : inputs.archives) {
        const std::string reason =
            repository::describe_gap(*place.repository, inputs.options.stanza, place.id, segment);
        if (!reason.empty()) {
            return "; " + reason;
        }
    }
    return {};
}

void check_wal(const RecoveryInputs& inputs, RecoveryPlan& plan)
{
    const std::uint32_t segment_size = inputs.cluster.wal_segment_size;
    const auto path =
        repository::wal_path(inputs.backup, *plan.timeline, inputs.tree, segment_size);
    plan.window =
        find_wal_window(inputs.archives, inputs.options.stanza, inputs.backup, path, segment_size);
    const WalWindow& window = *plan.window;
    plan.has_backup_wal =
        !inputs.backup.is_online || window.has_backup_wal || has_own_wal(inputs, window);
    check_backup_wal(inputs, plan);
    if (window.gap) {
        const std::string segment = postgres::to_string(*window.gap, segment_size);
        log::warn("WAL segment {} is missing from the archive though later ones are there: "
                  "recovery cannot go beyond it{}",
                  segment,
                  recorded_reason(inputs, segment));
    }
    if (plan.settings.type == RecoveryType::time) {
        check_time_target(inputs, plan);
    } else if (plan.settings.type == RecoveryType::lsn) {
        check_lsn_target(inputs, window);
    }
}

} // namespace

RecoveryType recovery_type(const RestoreOptions& options, const repository::BackupSummary& backup)
{
    const RecoveryType type = options.settings.type;
    const bool is_needed = backup.is_online || options.is_type_given;
    return type == RecoveryType::standard && !is_needed ? RecoveryType::none : type;
}

void plan_recovery(const RecoveryInputs& inputs, RecoveryPlan& plan)
{
    RecoverySettings& settings = plan.settings;
    settings = inputs.options.settings;
    settings.type = recovery_type(inputs.options, inputs.backup);
    if (settings.type == RecoveryType::preserve) {
        return;
    }
    if (settings.type != RecoveryType::none) {
        plan.timeline =
            repository::choose_timeline(inputs.backup, inputs.options.target, inputs.tree);
        warn_of_newer_timeline(inputs, *plan.timeline);
        settings.target_timeline = target_timeline(inputs, *plan.timeline);
        check_wal(inputs, plan);
    }
    recovery_parameters(settings); // throws for what cannot be written
}

NewestTransactionEnd find_newest_commit(const RecoveryInputs& inputs, const WalWindow& window)
{
    return newest_transaction_end(
        inputs.archives, inputs.options.stanza, inputs.cluster, window, kCommitSearchDepth);
}

} // namespace pgstrata::engine
