// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/wal_coverage.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace pgstrata::repository {

namespace {

using postgres::Timeline;
using postgres::WalSegment;

// Segments of one timeline that follow one another.
struct Run {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

// One stretch of the way to a timeline: all segments of `timeline` below `end`.
struct Step {
    Timeline timeline = 0;
    std::uint64_t end = 0;
};

constexpr std::uint64_t kOpenEnd = UINT64_MAX;

class Archive {
public:
    Archive(const std::vector<std::string>& names, const TimelineTree& tree, std::uint32_t size)
        : tree_(tree), segment_size_(size)
    {
        for (const std::string& name : names) {
            if (const auto segment = postgres::parse_wal_segment(name, size)) {
                std::vector<Run>& runs = runs_[segment->timeline];
                if (!runs.empty() && segment->number <= runs.back().last + 1) {
                    runs.back().last = std::max(runs.back().last, segment->number);
                } else {
                    runs.push_back({segment->number, segment->number});
                }
            }
        }
    }

    const std::map<Timeline, std::vector<Run>>& runs() const noexcept { return runs_; }
    const TimelineTree& tree() const noexcept { return tree_; }
    std::uint32_t segment_size() const noexcept { return segment_size_; }

    // The run with the segment, or null.
    const Run* find(WalSegment segment) const
    {
        const Run* const run = last_run_up_to(segment);
        return run != nullptr && run->last >= segment.number ? run : nullptr;
    }
    // The last run of the segment's timeline that begins at it or before.
    const Run* last_run_up_to(WalSegment segment) const
    {
        const auto runs = runs_.find(segment.timeline);
        if (runs == runs_.end()) {
            return nullptr;
        }
        const auto after = std::ranges::upper_bound(runs->second, segment.number, {}, &Run::first);
        return after == runs->second.begin() ? nullptr : &*std::prev(after);
    }
    // The number of the first run that begins after the segment on its timeline; kOpenEnd for none.
    std::uint64_t next_from(WalSegment segment) const
    {
        const auto runs = runs_.find(segment.timeline);
        if (runs == runs_.end()) {
            return kOpenEnd;
        }
        const auto after = std::ranges::upper_bound(runs->second, segment.number, {}, &Run::first);
        return after == runs->second.end() ? kOpenEnd : after->first;
    }
    bool has_any(Timeline timeline, std::uint64_t begin, std::uint64_t end) const
    {
        const Run* const run = end == 0 ? nullptr : last_run_up_to({timeline, end - 1});
        return run != nullptr && run->last >= begin;
    }
    std::string name(Timeline timeline, std::uint64_t number) const
    {
        return postgres::to_string(WalSegment{timeline, number}, segment_size_);
    }

    // The way to a timeline from its oldest ancestor on.
    std::vector<Step> way_to(Timeline timeline) const
    {
        std::vector<Step> way;
        if (const auto history = tree_.find(timeline); history != tree_.end()) {
            for (const postgres::TimelineSwitch& left : history->second) {
                way.push_back(
                    {left.timeline,
                     postgres::segment_of(left.timeline, left.switch_point, segment_size_).number});
            }
        }
        way.push_back({timeline, kOpenEnd});
        return way;
    }

private:
    std::map<Timeline, std::vector<Run>> runs_;
    const TimelineTree& tree_;
    std::uint32_t segment_size_;
};

// Missing segments as ranges of one timeline each, ascending and apart.
class MissingSegments {
public:
    // From `begin` to before `end`.
    void add(Timeline timeline, std::uint64_t begin, std::uint64_t end)
    {
        if (begin < end) {
            runs_.push_back({{timeline, begin}, end - 1});
        }
    }
    std::vector<WalRange> ranges(const Archive& archive)
    {
        std::ranges::sort(runs_);
        std::vector<std::pair<WalSegment, std::uint64_t>> apart;
        for (const auto& [first, last] : runs_) {
            if (!apart.empty() && apart.back().first.timeline == first.timeline &&
                first.number <= apart.back().second + 1) {
                apart.back().second = std::max(apart.back().second, last);
            } else {
                apart.emplace_back(first, last);
            }
        }
        std::vector<WalRange> found;
        for (const auto& [first, last] : apart) {
            found.push_back(
                {archive.name(first.timeline, first.number), archive.name(first.timeline, last)});
        }
        return found;
    }

private:
    std::vector<std::pair<WalSegment, std::uint64_t>> runs_;
};

// Where retention may have cut: WAL of a backup that is kept although what lies between it and the
// next one is not.
struct BackupEnds {
    std::set<WalSegment> starts;
    std::set<WalSegment> stops;

    BackupEnds(const std::vector<BackupSummary>& backups, std::uint32_t size)
    {
        for (const BackupSummary& backup : backups) {
            if (backup.is_online) {
                starts.insert(postgres::segment_of(backup.timeline, backup.start_lsn, size));
                stops.insert(postgres::last_segment_before(backup.timeline, backup.stop_lsn, size));
            }
        }
    }
};

// What of the way to `run` is missing behind the segment before it that is there. Without one the
// archive begins with the run, and nothing is missing.
void add_gap_before(const Archive& archive,
                    Timeline timeline,
                    const Run& run,
                    const BackupEnds& ends,
                    MissingSegments& missing)
{
    const std::vector<Step> way = archive.way_to(timeline);
    std::uint64_t limit = run.first; // of what is looked for
    for (std::size_t i = way.size(); i > 0 && limit > 0; --i) {
        const Timeline on = way[i - 1].timeline;
        const std::uint64_t begin = i > 1 ? std::min(way[i - 2].end, limit) : 0;
        const std::uint64_t end = std::min(way[i - 1].end, limit);
        const Run* const before = end > begin ? archive.last_run_up_to({on, end - 1}) : nullptr;
        limit = begin;
        if (before == nullptr || before->last < begin) {
            continue;
        }
        const std::uint64_t last = std::min(before->last, end - 1);
        if (ends.stops.contains({on, last}) && ends.starts.contains({timeline, run.first})) {
            return;
        }
        missing.add(on, last + 1, end);
        for (std::size_t later = i; later < way.size(); ++later) {
            missing.add(way[later].timeline,
                        std::max(way[later - 1].end, last + 1),
                        std::min(way[later].end, run.first));
        }
        return;
    }
}

std::vector<WalRange> find_gaps(const Archive& archive, const BackupEnds& ends)
{
    MissingSegments missing;
    for (const auto& [timeline, runs] : archive.runs()) {
        for (const Run& run : runs) {
            add_gap_before(archive, timeline, run, ends, missing);
        }
    }
    return missing.ranges(archive);
}

// The segment that recovery takes after the one before `number`, or null: on the stretch, or for
// the backup's own WAL on its own timeline.
const Run*
find_next(const Archive& archive, Timeline on, std::uint64_t number, const WalSegment& own_stop)
{
    const Run* run = archive.find({on, number});
    if (run == nullptr && number <= own_stop.number) {
        run = archive.find({own_stop.timeline, number});
    }
    return run;
}

void follow(const Archive& archive,
            const std::vector<WalStretch>& path,
            const WalSegment& own_stop,
            BackupWal& wal)
{
    std::uint64_t next = path.front().first.number;
    bool is_broken = false;
    for (const WalStretch& stretch : path) {
        const Timeline on = stretch.first.timeline;
        const std::uint64_t end = stretch.last_number ? *stretch.last_number + 1 : kOpenEnd;
        while (!is_broken && next < end) {
            const Run* const run = find_next(archive, on, next, own_stop);
            if (run == nullptr) {
                is_broken = true;
                break;
            }
            const bool is_on_stretch = archive.find({on, next}) == run;
            const std::uint64_t last =
                std::min(is_on_stretch ? run->last : std::min(run->last, own_stop.number), end - 1);
            wal.last = archive.name(is_on_stretch ? on : own_stop.timeline, last);
            next = last + 1;
        }
        if (is_broken && archive.has_any(on, std::max(next, stretch.first.number), end)) {
            wal.ends_at_gap = true;
        }
    }
}

// The timeline of the path that a segment lies on.
Timeline timeline_on(const std::vector<WalStretch>& path, std::uint64_t number)
{
    for (const WalStretch& stretch : path) {
        if (!stretch.last_number || number <= *stretch.last_number) {
            return stretch.first.timeline;
        }
    }
    return path.back().first.timeline;
}

BackupWal cover_backup(const Archive& archive, const BackupSummary& backup)
{
    BackupWal wal;
    wal.label = backup.label;
    wal.timeline = choose_timeline(backup, {}, archive.tree());
    const std::uint32_t size = archive.segment_size();
    const auto path = wal_path(backup, wal.timeline, archive.tree(), size);
    if (!backup.is_online) {
        return wal;
    }
    const WalSegment start = postgres::segment_of(backup.timeline, backup.start_lsn, size);
    const WalSegment stop = postgres::last_segment_before(backup.timeline, backup.stop_lsn, size);
    MissingSegments missing;
    for (std::uint64_t number = start.number; number <= stop.number;) {
        const Timeline on = timeline_on(path, number);
        if (const Run* const run = find_next(archive, on, number, stop)) {
            // Only the segment itself may have come from the other timeline.
            number = archive.find({backup.timeline, number}) == run ? run->last + 1 : number + 1;
        } else {
            const std::uint64_t end = std::min({stop.number + 1,
                                                archive.next_from({backup.timeline, number}),
                                                archive.next_from({on, number})});
            missing.add(backup.timeline, number, end);
            number = end;
        }
    }
    wal.missing = missing.ranges(archive);
    follow(archive, path, stop, wal);
    return wal;
}

std::vector<Timeline> find_lost_histories(const Archive& archive,
                                          const std::vector<BackupSummary>& backups)
{
    Timeline oldest = archive.runs().empty() ? UINT32_MAX : archive.runs().begin()->first;
    for (const BackupSummary& backup : backups) {
        oldest = std::min(oldest, backup.timeline);
    }
    std::vector<Timeline> lost;
    for (const auto& [timeline, runs] : archive.runs()) {
        if (timeline > oldest && !archive.tree().contains(timeline)) {
            lost.push_back(timeline);
        }
    }
    return lost;
}

} // namespace

WalCoverage cover_wal(const std::vector<std::string>& segments,
                      const std::vector<BackupSummary>& backups,
                      const TimelineTree& tree,
                      std::uint32_t wal_segment_size)
{
    const Archive archive(segments, tree, wal_segment_size);
    WalCoverage coverage;
    for (const BackupSummary& backup : backups) {
        coverage.backups.push_back(cover_backup(archive, backup));
    }
    coverage.gaps = find_gaps(archive, {backups, wal_segment_size});
    coverage.lost_histories = find_lost_histories(archive, backups);
    return coverage;
}

} // namespace pgstrata::repository
