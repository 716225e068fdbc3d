// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/wal_wait.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Sees to it that the WAL of one backup reaches the archive. One thread.
class BackupWal : NonCopyable {
public:
    // `source` is the server that is backed up, from `data_directory`, `primary` the one that
    // writes WAL: the same, or the source's primary, or null when that cannot be reached.
    BackupWal(const repository::Repository& repository,
              WalWait wait,
              std::string data_directory,
              postgres::Session& source,
              postgres::Session* primary);

    // The segment that is being written; to be asked before the backup starts.
    void remember_current();
    // Before hours of copying: does WAL reach this repository at all? The segment before the start
    // was finished by the start; when there is none, one is finished for the purpose. Nothing is
    // asked of a primary that cannot be reached.
    void begin_probe(postgres::WalSegment first);
    // Throws Error(archive_timeout) when that segment does not come, and what check_own_wal()
    // throws.
    void wait_for_probe();

    // Waits for all segments from `first` to `last`, and throws likewise. Of a standby whose
    // primary cannot be asked to finish its segment, those that are not there at once are returned
    // instead.
    std::vector<postgres::WalSegment> wait_for_all(postgres::WalSegment first,
                                                   postgres::WalSegment last);

private:
    void wait_for(postgres::WalSegment first, postgres::WalSegment last);
    bool is_archived(postgres::WalSegment segment) const;
    std::string name_of(postgres::WalSegment segment) const;

    const repository::Repository& repository_;
    WalWait wait_;
    std::string data_directory_;
    postgres::Session& source_;
    postgres::Session* primary_;
    postgres::WalSegment current_;
    std::optional<postgres::WalSegment> probe_;
};

} // namespace pgstrata::engine
