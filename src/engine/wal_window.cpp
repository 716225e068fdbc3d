// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/wal_window.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/repository/wal_archive.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using postgres::WalSegment;

// Calls `ask` with each place until it returns true.
template <typename Ask>
void ask_in_turn(const std::vector<WalPlace>& places, const Ask& ask)
{
    std::size_t failed = 0;
    for (const WalPlace& place : places) {
        try {
            if (ask(place)) {
                return;
            }
        } catch (const Error& error) {
            ++failed;
            if (failed == places.size() || error.code() == ErrorCode::terminated) {
                throw;
            }
            log::warn("WAL in '{}' is passed over: {}",
                      place.repository->storage().location(),
                      error.what());
        }
    }
}

// The segments of the archive that lie on one stretch.
void add_segments_on(const repository::WalStretch& stretch,
                     const WalPlace& place,
                     const std::string& stanza,
                     std::uint32_t wal_segment_size,
                     std::vector<WalSegment>& found)
{
    const std::string from = postgres::to_string(stretch.first, wal_segment_size);
    repository::list_segments(
        *place.repository, stanza, place.id, from, [&](const std::string& name) {
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
}

// The segments of all archives that lie on one stretch, ascending.
std::vector<WalSegment> segments_on(const repository::WalStretch& stretch,
                                    const std::vector<WalPlace>& places,
                                    const std::string& stanza,
                                    std::uint32_t wal_segment_size)
{
    std::vector<WalSegment> found;
    ask_in_turn(places, [&](const WalPlace& place) {
        add_segments_on(stretch, place, stanza, wal_segment_size, found);
        return false;
    });
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

// Unset when no archive has the segment with one content.
std::optional<Buffer> read_segment(const std::vector<WalPlace>& places,
                                   const std::string& stanza,
                                   const std::string& name,
                                   std::uint32_t wal_segment_size)
{
    std::optional<Buffer> bytes;
    ask_in_turn(places, [&](const WalPlace& place) {
        const auto found = repository::find_wal(*place.repository, stanza, place.id, name);
        if (found.size() == 1) {
            bytes = repository::read_wal(
                *place.repository, stanza, place.id, found.front(), wal_segment_size);
        }
        return bytes.has_value();
    });
    return bytes;
}

} // namespace

WalWindow find_wal_window(const std::vector<WalPlace>& places,
                          const std::string& stanza,
                          const repository::BackupSummary& backup,
                          const std::vector<repository::WalStretch>& path,
                          std::uint32_t wal_segment_size)
{
    WalWindow window;
    std::uint64_t expected = path.front().first.number;
    std::optional<WalSegment> missing;
    for (const repository::WalStretch& stretch : path) {
        for (const WalSegment segment : segments_on(stretch, places, stanza, wal_segment_size)) {
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

NewestTransactionEnd newest_transaction_end(const std::vector<WalPlace>& places,
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
        auto bytes = read_segment(places, stanza, name, cluster.wal_segment_size);
        if (!bytes) {
            return {};
        }
        NewestTransactionEnd newest;
        const auto note = [&](const postgres::WalRecord& record) {
            newest.time = std::max(newest.time, postgres::transaction_end_time(record));
        };
        postgres::WalReader reader(cluster.id.major, cluster.wal_segment_size);
        if (reader.feed(segment, *bytes, note) && i != 0) {
            reader.feed(window.segments[count - i], later, note);
        }
        if (newest.time) {
            return newest;
        }
        later = std::move(*bytes);
    }
    return {std::nullopt, count != 0 && depth >= count};
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
