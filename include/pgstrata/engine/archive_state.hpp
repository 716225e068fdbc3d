// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/recovery_window.hpp"
#include "pgstrata/util/error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// What one archive holds and what can be restored from it.
struct ArchiveState {
    repository::WalRange wal;         // the lowest and the highest segment
    repository::WalCoverage coverage; // of the backups of this archive, in the order given
    // Unset when that cannot be told, which is logged.
    std::optional<repository::RecoveryWindow> window;
    // Of histories that cannot be used: coverage and window are without their timelines.
    std::vector<Error> problems;
};

// `backups` are all of the stanza, ascending by label. Besides the listing it reads the WAL that
// holds the last transactions: what segments note of themselves, and where they note nothing a few
// segments.
ArchiveState read_archive_state(const repository::Repository& repository,
                                const std::string& stanza,
                                const repository::Cluster& cluster,
                                const std::vector<repository::BackupSummary>& backups);

} // namespace pgstrata::engine
