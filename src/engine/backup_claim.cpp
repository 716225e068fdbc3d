// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_claim.hpp"

#include "engine/backup_label.hpp"
#include "engine/remains.hpp"
#include "engine/unfinished_backup.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/cancel.hpp"

#include <algorithm>
#include <utility>

namespace pgstrata::engine {

namespace {

constexpr unsigned kRivalPause = 500; // milliseconds
constexpr unsigned kRivalLooks = 10;

// Of labels that were claimed at the same moment.
bool is_earlier(const std::string& one, const std::string& other)
{
    const auto order_of = [](const std::string& label) {
        return std::pair(repository::parse_backup_label(label)->time, label);
    };
    return order_of(one) < order_of(other);
}

Error taken_over(const std::string& label)
{
    return {ErrorCode::lock_acquire,
            fmt::format("backup {} was taken over by somebody else", label),
            "was this process stopped for a long time?"};
}

} // namespace

BackupClaim::BackupClaim(const repository::Repository& repository,
                         std::string stanza,
                         const repository::JournalHeader& journal,
                         bool can_resume,
                         std::size_t workers)
    : repository_(repository), stanza_(std::move(stanza)), can_resume_(can_resume)
{
    const std::vector<std::string> known = repository::list_labels(repository_, stanza_);
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
    try {
        yield_to_rivals(known);
    } catch (...) {
        give_up();
        throw;
    }
}

BackupClaim::~BackupClaim()
{
    if (!is_finished_) {
        give_up();
    }
}

// A backup in progress that was not there when others were looked for; empty when there is none.
std::string BackupClaim::find_rival(const std::vector<std::string>& known) const
{
    for (const std::string& label : repository::list_labels(repository_, stanza_)) {
        if (label != label_ && std::ranges::find(known, label) == known.end() &&
            !repository_.storage().info(repository::summary_path(stanza_, label)) &&
            is_in_progress(repository_, stanza_, label)) {
            return label;
        }
    }
    return {};
}

// Two hosts that look at the same moment find nobody, and claim a label each. The later label
// yields at once; the earlier waits for that, and yields to one that was at work before.
void BackupClaim::yield_to_rivals(const std::vector<std::string>& known) const
{
    for (unsigned look = 1;; ++look) {
        const std::string rival = find_rival(known);
        if (rival.empty()) {
            return;
        }
        if (is_earlier(rival, label_) || look == kRivalLooks) {
            raise(ErrorCode::lock_acquire,
                  "backup '{}' of stanza '{}' was begun at the same moment by another host",
                  rival,
                  stanza_);
        }
        sleep_cancellable(kRivalPause);
    }
}

void BackupClaim::check() const
{
    if (!lease_->is_held()) {
        throw Error(taken_over(label_));
    }
}

void BackupClaim::check_renewed() const
{
    if (lease_->is_lost()) {
        throw Error(taken_over(label_));
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
