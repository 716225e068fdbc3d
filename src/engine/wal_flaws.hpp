// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/verify_record.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <map>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Looks whether the WAL that backups cannot do without is there, as far as the listing of its
// archive and the records of verify tell. An archive is listed once. One thread.
class WalFlaws : NonCopyable {
public:
    // `repository` and `backups` outlive it.
    WalFlaws(const repository::Repository& repository,
             std::string stanza,
             const std::vector<repository::BackupSummary>& backups,
             const std::vector<repository::VerifyRecord>& records);

    // What is missing for one of the backups; empty when nothing is. Throws what reading its
    // manifest throws, Error(file_missing) when its archive is gone.
    std::string find(const repository::BackupSummary& backup);

private:
    struct Archive {
        std::uint32_t wal_segment_size = 0;
        std::map<std::string, std::vector<repository::WalRange>> missing; // by label
    };
    const Archive& archive_of(repository::ArchiveId id);
    std::vector<std::string> sound_segments(repository::ArchiveId id) const;

    const repository::Repository& repository_;
    std::string stanza_;
    const std::vector<repository::BackupSummary>& backups_;
    std::map<std::string, repository::DamagedWal> damaged_; // by path
    std::map<repository::ArchiveId, Archive> archives_;
};

} // namespace pgstrata::engine
