// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/archive_state.hpp"

#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using postgres::WalSegment;
using repository::BackupSummary;

// Segments that are asked for a note of their last transaction, for one stretch.
constexpr std::size_t kNoteDepth = 16;
// Segments that are read where none has a note.
constexpr std::size_t kSegmentDepth = 4;
// Stretches for which segments are read, from the newest back.
constexpr std::size_t kStretchDepth = 4;

class ArchiveReader {
public:
    ArchiveReader(const repository::Repository& repository,
                  const std::string& stanza,
                  const repository::Cluster& cluster)
        : repository_(repository), stanza_(stanza), cluster_(cluster),
          segments_(repository::list_all_segments(repository, stanza, cluster.id))
    {
    }

    ArchiveState read(const std::vector<BackupSummary>& all)
    {
        ArchiveState state;
        if (!segments_.empty()) {
            state.wal = {segments_.front(), segments_.back()};
        }
        std::ranges::copy_if(all, std::back_inserter(backups_), [&](const BackupSummary& backup) {
            return backup.archive_id == cluster_.id;
        });
        try {
            DamagedHistories damaged;
            tree_ = read_sound_timelines(repository_, stanza_, cluster_.id, damaged);
            for (const auto& [timeline, error] : damaged) {
                state.problems.push_back(error);
            }
            state.coverage = cover_wal(segments_, backups_, tree_, cluster_.wal_segment_size);
            state.window = make_window(state.coverage);
        } catch (const Error& error) {
            log::warn("what can be restored from archive {} of stanza '{}' cannot be told: {}",
                      repository::to_string(cluster_.id),
                      stanza_,
                      error.what());
        }
        return state;
    }

private:
    repository::RecoveryWindow make_window(const repository::WalCoverage& coverage) const
    {
        const std::uint32_t segment_size = cluster_.wal_segment_size;
        repository::RecoveryWindow window;
        window.stretches = repository::find_stretches(backups_, coverage, segment_size);
        std::size_t left = kStretchDepth;
        for (auto at = window.stretches.rbegin(); at != window.stretches.rend(); ++at) {
            if (!at->stop && left > 0) {
                --left;
                at->stop = find_stop(*at);
            }
        }
        window.gaps = repository::find_window_gaps(window.stretches, coverage.gaps, segment_size);
        window.lost_histories = coverage.lost_histories;
        return window;
    }

    // The last segments that recovery takes up to the end of the stretch, ascending.
    std::vector<WalSegment> last_segments(const repository::WindowStretch& stretch) const
    {
        const std::uint32_t segment_size = cluster_.wal_segment_size;
        const auto backup = std::ranges::find(backups_, stretch.label, &BackupSummary::label);
        const auto path = repository::wal_path(*backup, stretch.timeline, tree_, segment_size);
        const auto first = postgres::parse_wal_segment(stretch.first_wal, segment_size);
        auto segment = postgres::parse_wal_segment(stretch.last_wal, segment_size);
        std::vector<WalSegment> found;
        while (first && segment && found.size() < kNoteDepth) {
            found.push_back(*segment);
            if (segment->number <= first->number) {
                break;
            }
            const std::uint64_t number = segment->number - 1;
            const auto on = std::ranges::find_if(path, [&](const repository::WalStretch& part) {
                return !part.last_number || number <= *part.last_number;
            });
            segment = {on->first.timeline, number};
            if (!std::ranges::binary_search(segments_,
                                            postgres::to_string(*segment, segment_size))) {
                segment->timeline = backup->timeline; // the backup's own copy
            }
        }
        std::ranges::reverse(found);
        return found;
    }

    // The time that the newest segment with a note has noted.
    std::optional<std::int64_t> noted_end(const std::vector<WalSegment>& segments) const
    {
        for (auto at = segments.rbegin(); at != segments.rend(); ++at) {
            const auto found =
                repository::find_wal(repository_,
                                     stanza_,
                                     cluster_.id,
                                     postgres::to_string(*at, cluster_.wal_segment_size));
            if (found.size() != 1) {
                return std::nullopt;
            }
            const auto times =
                repository::read_wal_times(repository_, stanza_, cluster_.id, found.front());
            if (times) {
                return times->last;
            }
            // A plain file cannot have a note and may hold transactions all the same.
            if (!found.front().is_compressed &&
                repository_.cipher().type == codec::CipherType::none) {
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

    // By reading segments. Unset when not known.
    std::optional<UnixSeconds> read_end(std::vector<WalSegment> segments,
                                        const repository::WindowStretch& stretch) const
    {
        WalWindow window;
        window.segments = std::move(segments);
        const NewestTransactionEnd newest = newest_transaction_end(
            {{&repository_, cluster_.id}}, stanza_, cluster_, window, kSegmentDepth);
        if (newest.time) {
            return *newest.time / kMicrosecondsPerSecond;
        }
        const bool is_whole = !window.segments.empty() &&
                              postgres::to_string(window.segments.front(),
                                                  cluster_.wal_segment_size) == stretch.first_wal;
        return newest.is_proved_absent && is_whole ? std::optional(stretch.start) : std::nullopt;
    }

    // Unset when not known.
    std::optional<UnixSeconds> find_stop(const repository::WindowStretch& stretch) const
    {
        try {
            std::vector<WalSegment> segments = last_segments(stretch);
            const auto noted = noted_end(segments);
            const auto end = noted ? std::optional(*noted / kMicrosecondsPerSecond)
                                   : read_end(std::move(segments), stretch);
            return end ? std::optional(std::max(stretch.start, *end)) : std::nullopt;
        } catch (const Error& error) {
            log::warn("the time of the last transaction before the end of WAL segment {} is not "
                      "known: {}",
                      stretch.last_wal,
                      error.what());
            return std::nullopt;
        }
    }

    const repository::Repository& repository_;
    const std::string& stanza_;
    const repository::Cluster& cluster_;
    std::vector<std::string> segments_;
    std::vector<BackupSummary> backups_;
    repository::TimelineTree tree_;
};

} // namespace

ArchiveState read_archive_state(const repository::Repository& repository,
                                const std::string& stanza,
                                const repository::Cluster& cluster,
                                const std::vector<BackupSummary>& backups)
{
    return ArchiveReader(repository, stanza, cluster).read(backups);
}

} // namespace pgstrata::engine
