// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/backup.hpp"
#include "pgstrata/engine/change_detection.hpp"

#include <optional>

namespace pgstrata::engine {

// What is known of the changes since the prior backup, when a backup has been started.
struct KnownChanges {
    std::optional<postgres::ChangedBlocks> blocks; // unset: what was touched must be read
    AuditRules audit;                              // for them
};

// Asks the server's WAL summaries, and says in the log what was taken and why: a WARN when the
// server has some that should have served. `session` is null when the server is stopped.
KnownChanges find_changes(const BackupOptions& options,
                          const repository::ManifestHeader& prior,
                          const repository::ManifestHeader& now,
                          postgres::Session* session);

} // namespace pgstrata::engine
