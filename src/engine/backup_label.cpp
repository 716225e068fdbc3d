// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_label.hpp"

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

// How far a label may run ahead of the clock before the clock is called wrong.
constexpr UnixSeconds kClockTolerance = 60;

} // namespace

ClaimedLabel claim_new_label(const repository::Repository& repository,
                             const std::string& stanza,
                             repository::BackupType type,
                             const std::string& prior)
{
    UnixSeconds newest = 0;
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        newest = std::max(newest, repository::parse_backup_label(label)->time);
    }
    UnixSeconds time = std::max(now_seconds(), newest + 1);
    if (time - now_seconds() > kClockTolerance) {
        throw Error(ErrorCode::clock,
                    fmt::format("the newest backup label is of {}, which is in the future",
                                format_local_time(newest)),
                    "has the clock of this host gone back?");
    }
    const auto builds_on = repository::parse_backup_label(prior);
    ClaimedLabel claimed;
    for (; !claimed.lease; ++time) {
        claimed.label =
            repository::make_backup_label(type, builds_on ? builds_on->full : std::string(), time);
        claimed.lease = repository::Lease::claim(repository, stanza, claimed.label);
    }
    return claimed;
}

} // namespace pgstrata::engine
