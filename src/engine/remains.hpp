// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/lease.hpp"
#include "pgstrata/repository/repository.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

// Backups without a summary that nobody is at work on. Whoever removes one or gives it back holds
// the lease of its next turn meanwhile, so that several hosts that decide about it at once come to
// one end.
namespace pgstrata::engine {

// The backups as they were when it was decided what goes.
struct KnownBackups {
    std::vector<std::string> labels; // all
    std::vector<std::string> dead;   // those without a summary that nobody was at work on
};

// Whether a backup that has the same full as `label` has begun or gone on since: it may have found
// a backup complete that has lost its summary between two looks.
bool has_family_begun(const repository::Repository& repository,
                      const std::string& stanza,
                      const std::string& label,
                      const KnownBackups& known);

// Lets `work` go on under a lease that was claimed for it, and gives that up when it fails: nobody
// has to wait until it runs out.
void work_under(repository::Lease& lease, const std::function<void()>& work);

// Throws Error(lock_acquire) when has_family_begun(). A lease must have been claimed when the
// backup had no summary: one that begins later does not find it.
void check_still_unneeded(const repository::Repository& repository,
                          const std::string& stanza,
                          const std::string& label,
                          const KnownBackups& known);

// Leases of backups that are given back, released together at the end: what one builds on must not
// go again before it is listed.
class HeldLeases : NonCopyable {
public:
    HeldLeases() = default;
    ~HeldLeases();
    void add(std::unique_ptr<repository::Lease> lease) { leases_.push_back(std::move(lease)); }

private:
    std::vector<std::unique_ptr<repository::Lease>> leases_;
};

// Claims the backup, adds its lease to `held`, and calls `write` to put its summary back unless it
// is there. False when somebody else has removed more than the summary: he has looked later, and
// nobody needed the backup any more. Waits a while for somebody who is at work on it, then throws
// Error(lock_acquire).
bool give_back(const repository::Repository& repository,
               const std::string& stanza,
               const std::string& label,
               const std::function<void()>& write,
               HeldLeases& held);

} // namespace pgstrata::engine
