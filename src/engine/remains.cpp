// SPDX-License-Identifier: PostgreSQL
#include "engine/remains.hpp"

#include "engine/needed_backups.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/error.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

constexpr unsigned kPause = 20; // milliseconds
constexpr unsigned kPauses = 500;

bool has_summary(const repository::Repository& repository,
                 const std::string& stanza,
                 const std::string& label)
{
    return repository.storage().info(repository::summary_path(stanza, label)).has_value();
}

// The manifest is the first that goes after the summary.
bool is_whole(const repository::Repository& repository,
              const std::string& stanza,
              const std::string& label)
{
    return repository.storage().info(repository::manifest_path(stanza, label)).has_value();
}

std::unique_ptr<repository::Lease>
claim(const repository::Repository& repository, const std::string& stanza, const std::string& label)
{
    const auto turn = repository::find_lease_turn(repository, stanza, label);
    return is_in_progress(repository, stanza, label)
               ? nullptr
               : repository::Lease::claim(repository, stanza, label, turn ? *turn + 1 : 0);
}

// Of a backup whose lease is held.
bool write_summary_back(const repository::Repository& repository,
                        const std::string& stanza,
                        const std::string& label,
                        const std::function<void()>& write)
{
    if (has_summary(repository, stanza, label)) {
        return true;
    }
    if (!is_whole(repository, stanza, label)) {
        return false;
    }
    write();
    return true;
}

} // namespace

bool has_family_begun(const repository::Repository& repository,
                      const std::string& stanza,
                      const std::string& label,
                      const KnownBackups& known)
{
    const auto has_begun = [&](const std::string& other) {
        if (other == label || !shares_full(label, other)) {
            return false;
        }
        if (std::ranges::find(known.dead, other) != known.dead.end()) {
            return is_in_progress(repository, stanza, other) ||
                   has_summary(repository, stanza, other);
        }
        return std::ranges::find(known.labels, other) == known.labels.end();
    };
    return std::ranges::any_of(repository::list_labels(repository, stanza), has_begun);
}

void work_under(repository::Lease& lease, const std::function<void()>& work)
{
    try {
        work();
    } catch (...) {
        try {
            lease.give_up();
        } catch (const std::exception& error) {
            log::warn("unable to remove the lease of a backup: {}", error.what());
        }
        throw;
    }
}

void check_still_unneeded(const repository::Repository& repository,
                          const std::string& stanza,
                          const std::string& label,
                          const KnownBackups& known)
{
    if (!has_family_begun(repository, stanza, label, known)) {
        return;
    }
    throw Error(ErrorCode::lock_acquire,
                fmt::format("what is left of backup '{}' of stanza '{}' stays: a backup that may "
                            "build on it has begun",
                            label,
                            stanza),
                "wait until it is done");
}

HeldLeases::~HeldLeases()
{
    for (const auto& lease : leases_) {
        try {
            lease->release();
        } catch (const std::exception& error) {
            log::warn("unable to remove the lease of a backup that was given back: {}",
                      error.what());
        }
    }
}

bool give_back(const repository::Repository& repository,
               const std::string& stanza,
               const std::string& label,
               const std::function<void()>& write,
               HeldLeases& held)
{
    for (unsigned pauses = 0; pauses < kPauses; ++pauses) {
        if (!has_summary(repository, stanza, label) && !is_whole(repository, stanza, label)) {
            return false;
        }
        auto lease = claim(repository, stanza, label);
        if (!lease) {
            sleep_milliseconds(kPause);
            continue;
        }
        bool is_back = false;
        work_under(*lease, [&] { is_back = write_summary_back(repository, stanza, label, write); });
        if (is_back) {
            held.add(std::move(lease));
        } else {
            lease->give_up();
        }
        return is_back;
    }
    throw Error(ErrorCode::lock_acquire,
                fmt::format("backup '{}' of stanza '{}', on which another may build, cannot be "
                            "given back: somebody else is at work on it",
                            label,
                            stanza),
                "run expire again when he is done; a backup that has lost what it builds on fails");
}

} // namespace pgstrata::engine
