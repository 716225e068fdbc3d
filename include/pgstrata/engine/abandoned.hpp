// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/repository.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::engine {

// Whether the newest lease of an incomplete backup has a holder that may be at work.
bool is_in_progress(const repository::Repository& repository,
                    const std::string& stanza,
                    const std::string& label);

// Throws Error(lock_acquire) when an incomplete backup of the stanza has a holder that may be at
// work.
void check_no_backup_in_progress(const repository::Repository& repository,
                                 const std::string& stanza);

// Throws Error(lock_acquire) when another backup of the stanza holds a fresh lease; removes what
// backups that died have left behind (directories without backup.json whose lease has run out or
// whose process is gone), but for the one labelled `spared`.
void collect_abandoned_backups(const repository::Repository& repository,
                               const std::string& stanza,
                               std::string_view spared = {});

// Claims an incomplete backup whose holder is dead, whether to go on with it or to remove it: of
// several who want it only one gets the turn after `last_turn`, which the caller has looked up
// before he found the holder dead. Throws Error(lock_acquire) to the others, and when the backup
// was completed meanwhile.
std::unique_ptr<repository::Lease> claim_next_turn(const repository::Repository& repository,
                                                   const std::string& stanza,
                                                   const std::string& label,
                                                   std::optional<unsigned> last_turn);

// Removes an incomplete backup whose lease the caller holds, and that last.
void remove_incomplete_backup(const repository::Repository& repository,
                              std::string_view stanza,
                              std::string_view label,
                              repository::Lease& held);

} // namespace pgstrata::engine
