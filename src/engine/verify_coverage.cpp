// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_coverage.hpp"

#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/repository/wal_gap.hpp"

#include <algorithm>
#include <iterator>
#include <map>

namespace pgstrata::engine {

std::vector<std::string> segments_of(const ArchiveListing& listing)
{
    std::map<std::string, unsigned> copies;
    for (const ArchivedFile& file : listing.files) {
        ++copies[file.name.wal_name];
    }
    std::vector<std::string> segments;
    for (const auto& [name, count] : copies) {
        if (count == 1 && name.size() == postgres::kSegmentDigits) {
            segments.push_back(name);
        }
    }
    return segments;
}

namespace {

// The name of the segment after it; empty when it is none.
std::string next_name(const std::string& name, std::uint32_t segment_size)
{
    auto segment = postgres::parse_wal_segment(name, segment_size);
    if (!segment) {
        return {};
    }
    ++segment->number;
    return postgres::to_string(*segment, segment_size);
}

// Whether nothing that is there could use the segment: the archive and the backups begin later.
bool is_before_all(const std::string& name,
                   const std::vector<std::string>& segments,
                   const std::vector<repository::BackupSummary>& backups,
                   std::uint32_t segment_size)
{
    const auto dropped = postgres::parse_wal_segment(name, segment_size);
    bool is_any = false;
    const auto is_later = [&](const postgres::WalSegment& segment) {
        is_any = true;
        return dropped->number < segment.number;
    };
    return dropped &&
           std::ranges::all_of(segments,
                               [&](const std::string& there) {
                                   const auto one =
                                       postgres::parse_wal_segment(there, segment_size);
                                   return !one || is_later(*one);
                               }) &&
           std::ranges::all_of(backups,
                               [&](const repository::BackupSummary& backup) {
                                   return !backup.is_online ||
                                          is_later(postgres::segment_of(
                                              backup.timeline, backup.start_lsn, segment_size));
                               }) &&
           is_any;
}

// Ranges apart, ascending: what is known twice is one gap.
std::vector<repository::WalRange> unite(std::vector<repository::WalRange> ranges,
                                        std::uint32_t segment_size)
{
    std::ranges::sort(ranges, {}, &repository::WalRange::first);
    std::vector<repository::WalRange> apart;
    for (repository::WalRange& range : ranges) {
        if (!apart.empty() && (range.first <= apart.back().last ||
                               range.first == next_name(apart.back().last, segment_size))) {
            apart.back().last = std::max(apart.back().last, range.last);
        } else {
            apart.push_back(std::move(range));
        }
    }
    return apart;
}

} // namespace

std::set<std::string> needed_segments(const repository::Cluster& cluster,
                                      const ArchiveListing& listing,
                                      const std::vector<InspectedBackup>& backups)
{
    std::set<std::string> needed;
    const std::uint32_t size = cluster.wal_segment_size;
    for (const InspectedBackup& backup : backups) {
        if (!backup.summary || backup.summary->archive_id != cluster.id) {
            continue;
        }
        const repository::BackupSummary& summary = *backup.summary;
        const auto first = postgres::segment_of(summary.timeline, summary.start_lsn, size);
        const auto last = postgres::last_segment_before(summary.timeline, summary.stop_lsn, size);
        for (const ArchivedFile& file : listing.files) {
            const auto segment = postgres::parse_wal_segment(file.name.wal_name, size);
            if (segment && segment->number >= first.number && segment->number <= last.number) {
                needed.insert(file.name.wal_name);
            }
        }
    }
    return needed;
}

void cover_archive(const repository::Repository& repository,
                   const VerifyOptions& options,
                   const ReadArchive& archive,
                   std::vector<InspectedBackup>& backups)
{
    const repository::Cluster& cluster = archive.cluster;
    std::vector<repository::BackupSummary> summaries;
    std::vector<InspectedBackup*> covered;
    for (InspectedBackup& backup : backups) {
        if (backup.summary && backup.summary->archive_id == cluster.id) {
            summaries.push_back(*backup.summary);
            covered.push_back(&backup);
        }
    }
    std::ranges::copy_if(archive.newer, std::back_inserter(summaries), [&](const auto& newer) {
        return newer.archive_id == cluster.id;
    });
    const std::vector<std::string> segments = segments_of(archive.listing);
    DamagedHistories damaged; // found when the archive was read
    repository::WalCoverage coverage =
        repository::cover_wal(segments,
                              summaries,
                              read_sound_timelines(repository, options.stanza, cluster.id, damaged),
                              cluster.wal_segment_size);
    for (std::size_t i = 0; i < covered.size(); ++i) {
        InspectedBackup& backup = *covered[i];
        VerifiedBackup& result = backup.result;
        result.missing_wal = std::move(coverage.backups[i].missing);
        result.last_wal = std::move(coverage.backups[i].last);
        result.timeline = coverage.backups[i].timeline;
        result.ends_at_gap = coverage.backups[i].ends_at_gap;
        if (!result.missing_wal.empty()) {
            subtract_own_wal(repository, options.stanza, cluster.wal_segment_size, backup);
        }
        if (!result.missing_wal.empty()) {
            result.is_restorable = false;
            result.state = BackupState::invalid;
        }
        if (backup.summary->system_identifier != cluster.system_identifier) {
            add_fault(backup,
                      FaultKind::other,
                      repository::summary_path(options.stanza, result.label),
                      "the backup is of another cluster than its archive");
        }
    }
    if (options.label.empty()) {
        // Behind the last segment, and where retention may have cut, only their records tell.
        for (repository::WalRange& dropped :
             repository::list_gaps(repository, options.stanza, cluster)) {
            if (!is_before_all(dropped.last, segments, summaries, cluster.wal_segment_size)) {
                coverage.gaps.push_back(std::move(dropped));
            }
        }
        archive.result.gaps = unite(std::move(coverage.gaps), cluster.wal_segment_size);
        archive.result.lost_histories = std::move(coverage.lost_histories);
    }
}

} // namespace pgstrata::engine
