// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/util/time.hpp"

#include <cstdint>

namespace pgstrata::engine {

// The server whose files are copied, and its primary where that is another. One thread at a time.
class BackupServer {
public:
    // Both outlive it; `primary` is null when the source is a standby whose primary cannot be
    // asked.
    BackupServer(postgres::Session& source, postgres::Session* primary)
        : source_(source), primary_(primary)
    {
    }

    bool is_standby() const noexcept { return &source_ != primary_; }
    // Waits until a standby has replayed what its primary has written by now: one that lags would
    // give a backup of a moment long gone. Throws Error(archive_timeout).
    void wait_for_replay(std::uint64_t timeout_milliseconds);
    // Right before the backup starts. Gives the time from before which every write to a file is
    // complete in the copy: whatever was written before the start's checkpoint began is in the file
    // when that ends; of a write that began later only its time may be there yet. So the files that
    // the checkpoint itself writes are read again by the next backup; with `asks_checkpoint` there
    // is one before it, and they are few.
    UnixNanoseconds settle(bool asks_checkpoint);
    // A query that needs an answer: a backup that can never be stopped need not be copied to its
    // end. Throws Error(db_mismatch) when a standby has become a primary: then the backup's end
    // would not be known.
    void check();

private:
    postgres::Session& source_;
    postgres::Session* primary_;
};

} // namespace pgstrata::engine
