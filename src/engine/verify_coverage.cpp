// SPDX-License-Identifier: PostgreSQL
#include "engine/verify_coverage.hpp"

#include "engine/verify_pack.hpp"

#include <map>

namespace pgstrata::engine {

namespace {

constexpr std::size_t kSegmentDigits = 24;

// A history that is damaged was found when it was read.
repository::TimelineTree read_histories(const repository::Repository& repository,
                                        const std::string& stanza,
                                        repository::ArchiveId id)
{
    repository::TimelineTree tree;
    for (const postgres::Timeline timeline : repository::list_timelines(repository, stanza, id)) {
        try {
            if (auto history =
                    repository::read_timeline_history(repository, stanza, id, timeline)) {
                tree.emplace(timeline, std::move(*history));
            }
        } catch (const Error& error) {
            if (!is_of_object(error.code()) && error.code() != ErrorCode::archive_duplicate) {
                throw;
            }
        }
    }
    return tree;
}

std::vector<std::string> segments_of(const ArchiveListing& listing)
{
    std::map<std::string, unsigned> copies;
    for (const ArchivedFile& file : listing.files) {
        ++copies[file.name.wal_name];
    }
    std::vector<std::string> segments;
    for (const auto& [name, count] : copies) {
        if (count == 1 && name.size() == kSegmentDigits) {
            segments.push_back(name);
        }
    }
    return segments;
}

} // namespace

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
    repository::WalCoverage coverage =
        repository::cover_wal(segments_of(archive.listing),
                              summaries,
                              read_histories(repository, options.stanza, cluster.id),
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
        archive.result.gaps = std::move(coverage.gaps);
        archive.result.lost_histories = std::move(coverage.lost_histories);
    }
}

} // namespace pgstrata::engine
