// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/lease.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pgstrata::engine {

// The label of a backup that is being made, with its lease. Unless finish() was called it is given
// up at the end of its life: what can be gone on with stays, everything else is removed.
class BackupClaim : NonCopyable {
public:
    // Goes on with a backup that died, where `can_resume` and one like `journal` is there, or takes
    // a new label; what other dead backups of the stanza have left is removed. Throws
    // Error(lock_acquire) while another backup of the stanza is in progress.
    BackupClaim(const repository::Repository& repository,
                std::string stanza,
                const repository::JournalHeader& journal,
                bool can_resume,
                std::size_t workers);
    ~BackupClaim();

    const std::string& label() const noexcept { return label_; }
    // What an earlier try has stored; null when there was none.
    const repository::DurableWork* durable() const noexcept { return durable_.get(); }
    // Throws Error(lock_acquire) when somebody else has taken the label over.
    void check() const;
    // The same as far as renewing the lease has found it out: no request.
    void check_renewed() const;
    // The backup exists from now on, whatever happens to its journals and lease, which go.
    void finish() noexcept;

private:
    std::string find_rival(const std::vector<std::string>& known) const;
    void yield_to_rivals(const std::vector<std::string>& known) const;
    void give_up() noexcept;

    const repository::Repository& repository_;
    std::string stanza_;
    bool can_resume_;
    std::string label_;
    std::unique_ptr<repository::Lease> lease_;
    std::unique_ptr<repository::DurableWork> durable_;
    bool is_finished_ = false;
};

} // namespace pgstrata::engine
