// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"
#include "pgstrata/util/time.hpp"

#include <memory>
#include <optional>
#include <string>

namespace pgstrata::repository {

// Who is making a backup right now: backup/<stanza>/<label>/lease. Each further try of a backup has
// a lease of its own, so that of two who want to take it up again only one can.
struct LeaseInfo {
    std::string host;
    std::string boot_id;
    std::int64_t pid = 0;
    std::uint64_t pid_started =
        0; // in clock ticks since boot, so a pid that came round again is told apart
    UnixSeconds renewed = 0;
    unsigned turn = 0; // 0 for the first try
    // Of which the pid is one: two containers may share the name of the host and its boot. 0 when
    // not known, as in leases of earlier versions.
    std::uint64_t pid_namespace = 0;
};

inline constexpr unsigned kLeaseRenewSeconds = 20;
// A lease that was not renewed for this long is dead.
inline constexpr unsigned kLeaseLifeSeconds = 180;

// Whether the holder may still be at work. On this host (same boot, same namespace of processes)
// its process is asked for, elsewhere and where the system does not tell all of that, the clock.
bool is_alive(const LeaseInfo& lease, UnixSeconds now);

// Holds a lease and renews it from a thread of its own until it is destroyed or released.
class Lease : NonCopyable {
public:
    // Claims the label by creating the lease of that turn once; nullptr when somebody else has it.
    // Throws Error(format) for a turn that no lease can have.
    static std::unique_ptr<Lease>
    claim(const Repository& repository, std::string stanza, std::string label, unsigned turn = 0);
    virtual ~Lease() = default;
    // False when it was removed or somebody has a later turn: a process that was stopped for a long
    // time was taken for dead, and what it made is no longer its own.
    virtual bool is_held() const = 0;
    // Whether that was found out when it was to be renewed: no request.
    virtual bool is_lost() const noexcept = 0;
    // Removes the lease and those of earlier turns. Not called when the process dies: then it runs
    // out.
    virtual void release() = 0;
    // Removes the lease of this turn only: the backup is as it was before it was claimed.
    virtual void give_up() = 0;
};

// The lease of the newest turn; nullopt when the backup has none.
std::optional<LeaseInfo>
read_lease(const Repository& repository, std::string_view stanza, std::string_view label);
// The newest turn that has a lease, readable or not; nullopt when there is none.
std::optional<unsigned>
find_lease_turn(const Repository& repository, std::string_view stanza, std::string_view label);

} // namespace pgstrata::repository
