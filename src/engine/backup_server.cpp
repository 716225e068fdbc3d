// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_server.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"

namespace pgstrata::engine {

namespace {

constexpr unsigned kReplayPause = 50; // milliseconds
// How long a restartpoint may have gone on before a standby's backup began.
constexpr UnixNanoseconds kStandbyMargin = 60'000'000'000;
// Longer than a tick of the clock that files get their times from.
constexpr unsigned kQuietMilliseconds = 25;

} // namespace

void BackupServer::wait_for_replay(std::uint64_t timeout_milliseconds)
{
    if (!is_standby()) {
        return;
    }
    if (primary_ == nullptr) {
        log::info("the backup is of a standby whose primary is not asked: it is of what the "
                  "standby has replayed");
        return;
    }
    const postgres::Lsn wanted = primary_->current_lsn();
    log::info("wait for replay on the standby to reach {}", postgres::to_string(wanted));
    const std::uint64_t deadline = monotonic_milliseconds() + timeout_milliseconds;
    while (source_.current_lsn() < wanted) {
        if (monotonic_milliseconds() >= deadline) {
            throw Error(ErrorCode::archive_timeout,
                        fmt::format("the standby has not replayed WAL up to {} in time",
                                    postgres::to_string(wanted)),
                        "does it lag behind, or is its replay paused? raise archive-timeout");
        }
        sleep_cancellable(kReplayPause);
    }
}

UnixNanoseconds BackupServer::settle(bool asks_checkpoint)
{
    if (is_standby()) {
        return now_nanoseconds() - kStandbyMargin;
    }
    if (asks_checkpoint) {
        try {
            source_.checkpoint();
        } catch (const Error& error) {
            log::detail("no checkpoint before the start: {}", error.what());
        }
        sleep_milliseconds(kQuietMilliseconds);
    }
    return now_nanoseconds();
}

void BackupServer::check()
{
    if (!is_standby()) {
        source_.current_lsn();
    } else if (!source_.is_in_recovery()) {
        throw Error(ErrorCode::db_mismatch,
                    "the standby was promoted while it was backed up",
                    "take the backup again, from the new primary or another standby");
    }
}

} // namespace pgstrata::engine
