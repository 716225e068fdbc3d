// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/wal_window.hpp"

#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using postgres::WalSegment;

// The segments of the archive that lie on one stretch, ascending.
std::vector<WalSegment> segments_on(const repository::Repository& repository,
                                    const std::string& stanza,
                                    repository::ArchiveId id,
                                    const repository::WalStretch& stretch,
                                    std::uint32_t wal_segment_size)
{
    std::vector<WalSegment> found;
    const std::string from = postgres::to_string(stretch.first, wal_segment_size);
    repository::list_segments(repository, stanza, id, from, [&](const std::string& name) {
        const auto segment = postgres::parse_wal_segment(name, wal_segment_size);
        if (!segment) {
            return true;
        }
        const bool is_on = segment->timeline == stretch.first.timeline &&
                           (!stretch.last_number || segment->number <= *stretch.last_number);
        if (is_on) {
            found.push_back(*segment);
        }
        return is_on;
    });
    return found;
}

} // namespace

WalWindow find_wal_window(const repository::Repository& repository,
                          const std::string& stanza,
                          const repository::BackupSummary& backup,
                          const std::vector<repository::WalStretch>& path,
                          std::uint32_t wal_segment_size)
{
    WalWindow window;
    std::uint64_t expected = path.front().first.number;
    std::optional<WalSegment> missing;
    for (const repository::WalStretch& stretch : path) {
        for (const WalSegment segment :
             segments_on(repository, stanza, backup.archive_id, stretch, wal_segment_size)) {
            if (!missing && segment.number != expected) {
                missing = WalSegment{stretch.first.timeline, expected};
            }
            if (missing) {
                window.gap = missing; // something follows it
                break;
            }
            window.segments.push_back(segment);
            expected = segment.number + 1;
        }
        // A stretch that ends before its switch point leaves a gap for the next one to show.
        if (!missing && stretch.last_number && expected <= *stretch.last_number) {
            missing = WalSegment{stretch.first.timeline, expected};
        }
    }
    const auto stop =
        postgres::last_segment_before(backup.timeline, backup.stop_lsn, wal_segment_size);
    window.has_backup_wal =
        !window.segments.empty() && window.segments.back().number >= stop.number;
    return window;
}

NewestTransactionEnd newest_transaction_end(const repository::Repository& repository,
                                            const std::string& stanza,
                                            const repository::Cluster& cluster,
                                            const WalWindow& window,
                                            std::size_t depth)
{
    const std::size_t count = window.segments.size();
    Buffer
        later; // the segment after the one that is searched: the last record may run over into it
    for (std::size_t i = 0; i < std::min(depth, count); ++i) {
        const WalSegment segment = window.segments[count - 1 - i];
        const std::string name = postgres::to_string(segment, cluster.wal_segment_size);
        const auto found = repository::find_wal(repository, stanza, cluster.id, name);
        if (found.size() != 1) {
            return {};
        }
        Buffer bytes = repository::read_wal(
            repository, stanza, cluster.id, found.front(), cluster.wal_segment_size);
        NewestTransactionEnd newest;
        const auto note = [&](const postgres::WalRecord& record) {
            newest.time = std::max(newest.time, postgres::transaction_end_time(record));
        };
        postgres::WalReader reader(cluster.id.major, cluster.wal_segment_size);
        if (reader.feed(segment, bytes, note) && i != 0) {
            reader.feed(window.segments[count - i], later, note);
        }
        if (newest.time) {
            return newest;
        }
        later = std::move(bytes);
    }
    return {std::nullopt, count != 0 && depth >= count};
}

repository::TimelineTree read_timeline_tree(const repository::Repository& repository,
                                            const std::string& stanza,
                                            repository::ArchiveId id)
{
    DamagedHistories damaged;
    auto tree = read_sound_timelines(repository, stanza, id, damaged);
    if (!damaged.empty()) {
        throw Error(damaged.begin()->second);
    }
    return tree;
}

repository::TimelineTree read_sound_timelines(const repository::Repository& repository,
                                              const std::string& stanza,
                                              repository::ArchiveId id,
                                              DamagedHistories& damaged)
{
    repository::TimelineTree tree;
    for (const postgres::Timeline timeline : repository::list_timelines(repository, stanza, id)) {
        try {
            if (auto history =
                    repository::read_timeline_history(repository, stanza, id, timeline)) {
                tree.emplace(timeline, std::move(*history));
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::archive_duplicate &&
                !repository::is_unusable(repository, error)) {
                throw;
            }
            damaged.emplace(timeline, error);
        }
    }
    return tree;
}

} // namespace pgstrata::engine
