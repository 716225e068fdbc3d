// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/backup_label.hpp"

#include "pgstrata/repository/journal.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pgstrata::engine {

struct UnfinishedBackup {
    ClaimedLabel claimed;
    std::unique_ptr<repository::DurableWork> work; // null when there is nothing to go on with
};

// Takes up the newest backup that died, when the one that begins may go on with it: it is newer
// than every complete backup and would have been of the same kind. Everything else that dead
// backups of the stanza have left is removed; so is, of the one that is taken up, what cannot be
// proved right. Throws Error(lock_acquire) while another backup of the stanza is in progress.
UnfinishedBackup take_up_unfinished_backup(const repository::Repository& repository,
                                           const std::string& stanza,
                                           const repository::JournalHeader& wanted,
                                           std::size_t workers);

} // namespace pgstrata::engine
