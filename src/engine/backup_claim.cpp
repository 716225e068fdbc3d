// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_claim.hpp"

#include "engine/backup_label.hpp"
#include "engine/remains.hpp"
#include "engine/unfinished_backup.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"

#include <utility>

namespace pgstrata::engine {

BackupClaim::BackupClaim(const repository::Repository& repository,
                         std::string stanza,
                         const repository::JournalHeader& journal,
                         bool can_resume,
                         std::size_t workers)
    : repository_(repository), stanza_(std::move(stanza)), can_resume_(can_resume)
{
    ClaimedLabel claimed;
    if (can_resume_) {
        UnfinishedBackup unfinished =
            take_up_unfinished_backup(repository_, stanza_, journal, workers);
        claimed = std::move(unfinished.claimed);
        durable_ = std::move(unfinished.work);
    } else {
        collect_abandoned_backups(repository_, stanza_);
    }
    if (!claimed.lease) {
        claimed = claim_new_label(repository_, stanza_, journal.type, journal.prior);
        log::info("new backup label = {}", claimed.label);
    }
    label_ = std::move(claimed.label);
    lease_ = std::move(claimed.lease);
}

BackupClaim::~BackupClaim()
{
    if (!is_finished_) {
        give_up();
    }
}

void BackupClaim::check() const
{
    if (!lease_->is_held()) {
        throw Error(ErrorCode::lock_acquire,
                    fmt::format("backup {} was taken over by somebody else", label_),
                    "was this process stopped for a long time?");
    }
}

void BackupClaim::finish() noexcept
{
    is_finished_ = true;
    try {
        repository::remove_journals(repository_, stanza_, label_);
    } catch (const std::exception& error) {
        log::warn("unable to remove the journals of backup {}: {}", label_, error.what());
    }
    try {
        lease_->release();
    } catch (const std::exception& error) {
        log::warn("unable to remove the lease of backup {}: {}", label_, error.what());
    }
}

void BackupClaim::give_up() noexcept
{
    try {
        work_under(*lease_, [&] {
            if (!lease_->is_held()) {
                return;
            }
            if (can_resume_ && repository::has_journal(repository_, stanza_, label_)) {
                lease_->release();
                log::info("what backup {} has stored is kept for a later try", label_);
                return;
            }
            remove_incomplete_backup(repository_, stanza_, label_, *lease_);
        });
    } catch (const std::exception& error) {
        log::warn("unable to remove the aborted backup {}: {}", label_, error.what());
    }
}

} // namespace pgstrata::engine
