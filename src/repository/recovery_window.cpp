// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/recovery_window.hpp"

#include <algorithm>

namespace pgstrata::repository {

namespace {

std::optional<std::uint64_t> number_of(const std::string& name, std::uint32_t segment_size)
{
    const auto segment = postgres::parse_wal_segment(name, segment_size);
    return segment ? std::optional(segment->number) : std::nullopt;
}

WindowStretch
begin_stretch(const BackupSummary& backup, const BackupWal& wal, std::uint32_t segment_size)
{
    WindowStretch stretch{.label = backup.label,
                          .timeline = wal.timeline,
                          .last_wal = wal.last,
                          .start = backup.stop_time,
                          .ends_at_gap = wal.ends_at_gap};
    if (!backup.is_online) {
        stretch.stop = backup.stop_time;
        return stretch;
    }
    stretch.first_wal = postgres::to_string(
        postgres::segment_of(backup.timeline, backup.start_lsn, segment_size), segment_size);
    const auto own = postgres::last_segment_before(backup.timeline, backup.stop_lsn, segment_size);
    if (number_of(wal.last, segment_size) == own.number) {
        stretch.stop = backup.stop_time;
    }
    return stretch;
}

// The missing WAL between what `before` gets to and what `after` begins with.
std::vector<WalRange> missing_between(const WindowStretch& before,
                                      const WindowStretch* after,
                                      const std::vector<WalRange>& missing,
                                      std::uint32_t segment_size)
{
    const auto last = number_of(before.last_wal, segment_size);
    const auto next = after == nullptr ? std::nullopt : number_of(after->first_wal, segment_size);
    std::vector<WalRange> between;
    std::ranges::copy_if(missing, std::back_inserter(between), [&](const WalRange& range) {
        return last && number_of(range.first, segment_size) > last &&
               (after == nullptr || (next && number_of(range.last, segment_size) < next));
    });
    return between;
}

bool goes_further(const WindowStretch& stretch, const WindowStretch& other)
{
    return !stretch.stop || !other.stop || *stretch.stop >= *other.stop;
}

} // namespace

std::vector<WindowStretch> find_stretches(const std::vector<BackupSummary>& backups,
                                          const WalCoverage& coverage,
                                          std::uint32_t wal_segment_size)
{
    std::vector<WindowStretch> stretches;
    for (std::size_t i = 0; i < backups.size(); ++i) {
        const BackupWal& wal = coverage.backups.at(i);
        if (!wal.missing.empty()) {
            continue;
        }
        const auto same = std::ranges::find_if(stretches, [&](const WindowStretch& stretch) {
            return !wal.last.empty() && stretch.last_wal == wal.last &&
                   stretch.timeline == wal.timeline;
        });
        WindowStretch begun = begin_stretch(backups[i], wal, wal_segment_size);
        if (same == stretches.end()) {
            stretches.push_back(std::move(begun));
            continue;
        }
        if (begun.start < same->start) {
            *same = std::move(begun);
        }
        same->stop.reset();
    }
    std::ranges::stable_sort(stretches, {}, &WindowStretch::start);
    if (!stretches.empty() && !stretches.back().last_wal.empty()) {
        stretches.back().stop.reset();
    }
    return stretches;
}

std::vector<WindowGap> find_window_gaps(const std::vector<WindowStretch>& stretches,
                                        const std::vector<WalRange>& missing,
                                        std::uint32_t wal_segment_size)
{
    std::vector<WindowGap> gaps;
    const WindowStretch* furthest = nullptr;
    for (const WindowStretch& stretch : stretches) {
        if (furthest != nullptr) {
            auto between = missing_between(*furthest, &stretch, missing, wal_segment_size);
            const bool is_reached = furthest->stop && *furthest->stop >= stretch.start;
            if (!is_reached || !between.empty()) {
                gaps.push_back({furthest->stop, stretch.start, std::move(between)});
            }
        }
        if (furthest == nullptr || goes_further(stretch, *furthest)) {
            furthest = &stretch;
        }
    }
    if (furthest != nullptr && furthest->ends_at_gap) {
        gaps.push_back({furthest->stop,
                        std::nullopt,
                        missing_between(*furthest, nullptr, missing, wal_segment_size)});
    }
    return gaps;
}

std::optional<UnixSeconds> window_stop(const RecoveryWindow& window)
{
    if (window.stretches.empty() || !window.stretches.back().stop) {
        return std::nullopt;
    }
    std::optional<UnixSeconds> latest;
    for (const WindowStretch& stretch : window.stretches) {
        latest = std::max(latest, stretch.stop);
    }
    return latest;
}

} // namespace pgstrata::repository
