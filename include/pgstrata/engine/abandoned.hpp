// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"

#include <string>
#include <string_view>

namespace pgstrata::engine {

// Throws Error(lock_acquire) when another backup of the stanza holds a fresh lease; removes what
// backups that died have left behind (directories without backup.json whose lease has run out or
// whose process is gone), but for the one labelled `spared`.
void collect_abandoned_backups(const repository::Repository& repository,
                               const std::string& stanza,
                               std::string_view spared = {});

// Removes an incomplete backup, its lease last.
void remove_incomplete_backup(const repository::Repository& repository,
                              std::string_view stanza,
                              std::string_view label);

} // namespace pgstrata::engine
