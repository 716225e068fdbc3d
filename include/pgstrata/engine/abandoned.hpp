// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/repository.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::engine {

// Whether the newest lease of an incomplete backup has a holder that may be at work.
bool is_in_progress(const repository::Repository& repository,
                    const std::string& stanza,
                    const std::string& label);

// Whether the removal of a backup that was complete has begun: its record is there before its
// summary goes.
bool is_expired(const repository::Repository& repository,
                const std::string& stanza,
                const std::string& label);

// A backup without a summary, for those who want to know.
struct IncompleteBackup {
    std::string label;
    bool is_in_progress = false;
    bool is_expired = false;
    bool can_be_resumed = false;        // unless the next backup is of another type
    std::string host;                   // that was at work last; empty when not known
    std::optional<UnixSeconds> renewed; // when it last said so
};
// `labels` are those without a summary. One that was completed or removed meanwhile is left out.
std::vector<IncompleteBackup> describe_incomplete(const repository::Repository& repository,
                                                  const std::string& stanza,
                                                  const std::vector<std::string>& labels);

// The label whose lease says that the stanza is being deleted: older than any backup.
inline constexpr std::string_view kDeletionLabel = "19700101-000000F";

// Throws Error(lock_acquire) while somebody deletes the stanza. Who begins a backup asks when he
// has its lease, and who deletes looks for backups when he has his, so that one of the two learns
// of the other.
void check_not_being_deleted(const repository::Repository& repository, const std::string& stanza);

// Throws Error(lock_acquire) when an incomplete backup of the stanza, but for the one labelled
// `spared`, has a holder that may be at work.
void check_no_backup_in_progress(const repository::Repository& repository,
                                 const std::string& stanza,
                                 std::string_view spared = {});

// Throws Error(lock_acquire) when another backup of the stanza holds a fresh lease; removes what
// backups that died have left behind (directories without backup.json whose lease has run out or
// whose process is gone), but for the one labelled `spared` and what a complete backup builds on or
// one that cannot be read may build on, and what has lost its summary: of these a WARN tells.
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

// Removes an incomplete backup whose lease the caller holds, and that last. Throws
// Error(lock_acquire) when the lease is lost meanwhile.
void remove_incomplete_backup(const repository::Repository& repository,
                              std::string_view stanza,
                              std::string_view label,
                              repository::Lease& held);

} // namespace pgstrata::engine
