// SPDX-License-Identifier: PostgreSQL
#include "engine/wal_flaws.hpp"

#include "engine/own_wal.hpp"
#include "engine/verify_coverage.hpp"

#include "pgstrata/engine/wal_window.hpp"
#include "pgstrata/repository/wal_coverage.hpp"

#include <algorithm>
#include <iterator>

namespace pgstrata::engine {

WalFlaws::WalFlaws(const repository::Repository& repository,
                   std::string stanza,
                   const std::vector<repository::BackupSummary>& backups,
                   const std::vector<repository::VerifyRecord>& records)
    : repository_(repository), stanza_(std::move(stanza)), backups_(backups),
      damaged_(repository::known_damaged_wal(records))
{
}

std::string WalFlaws::find(const repository::BackupSummary& backup)
{
    if (!backup.is_online) {
        return {};
    }
    const Archive& archive = archive_of(backup.archive_id);
    const std::vector<repository::WalRange>& missing = archive.missing.at(backup.label);
    if (missing.empty()) {
        return {};
    }
    const auto left =
        without_own_wal(repository_, stanza_, archive.wal_segment_size, backup.label, missing);
    return left.empty() ? std::string()
                        : fmt::format("WAL segment {} that it needs is missing or damaged",
                                      left.front().first);
}

const WalFlaws::Archive& WalFlaws::archive_of(repository::ArchiveId id)
{
    if (const auto known = archives_.find(id); known != archives_.end()) {
        return known->second;
    }
    const auto cluster = repository::read_cluster(repository_, stanza_, id);
    if (!cluster) {
        raise(ErrorCode::file_missing,
              "'{}' is missing, which has its WAL",
              repository::archive_path(stanza_, id));
    }
    std::vector<repository::BackupSummary> here;
    std::ranges::copy_if(backups_, std::back_inserter(here), [&](const auto& backup) {
        return backup.archive_id == id;
    });
    DamagedHistories unusable; // a backup needs none for its own WAL
    const auto tree = read_sound_timelines(repository_, stanza_, id, unusable);
    Archive archive{cluster->wal_segment_size, {}};
    repository::WalCoverage coverage =
        repository::cover_wal(sound_segments(id), here, tree, archive.wal_segment_size);
    for (repository::BackupWal& wal : coverage.backups) {
        archive.missing.emplace(std::move(wal.label), std::move(wal.missing));
    }
    return archives_.emplace(id, std::move(archive)).first->second;
}

std::vector<std::string> WalFlaws::sound_segments(repository::ArchiveId id) const
{
    ArchiveListing listing = list_archive(repository_, stanza_, id);
    if (!damaged_.empty()) {
        std::erase_if(listing.files, [&](const ArchivedFile& file) {
            return damaged_.contains(path_of(stanza_, id, file));
        });
    }
    return segments_of(listing);
}

} // namespace pgstrata::engine
