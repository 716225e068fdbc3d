// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/wal_wait.hpp"

#include "pgstrata/engine/lock.hpp"
#include "pgstrata/engine/spool.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/cancel.hpp"

namespace pgstrata::engine {

namespace {

constexpr unsigned kFirstArchiveWait = 10; // milliseconds
constexpr unsigned kLongestArchiveWait = 500;

// That archive-push is stopped on this host; empty when it is not.
std::string stop_cause(const WalWait& wait)
{
    if (wait.lock_path.empty()) {
        return {};
    }
    try {
        check_stop_file(wait.lock_path, wait.stanza);
        return {};
    } catch (const Error& error) {
        return error.code() == ErrorCode::stop
                   ? fmt::format("archive-push is stopped, {}: {}", error.what(), error.hint())
                   : std::string();
    }
}

// What archive-push in the background says of the segment; empty when it says nothing.
std::string spool_error(const WalWait& wait, const std::string& segment)
{
    if (wait.spool_path.empty()) {
        return {};
    }
    try {
        const Spool spool(wait.spool_path, wait.stanza, SpoolFolder::out);
        const auto error = spool.read_error(segment);
        return error ? fmt::format("archive-push says in '{}': [{:03}] {}",
                                   spool.path(),
                                   error->exit_status(),
                                   error->what())
                     : std::string();
    } catch (const Error&) {
        return {};
    }
}

// What the server says.
std::string archiver_cause(postgres::Session* session, const std::string& segment)
{
    if (session == nullptr) {
        return "is archive_command running, and does it archive to this repository?";
    }
    try {
        if (session->setting("archive_mode") == "off") {
            return "archive_mode is off: set archive_mode = on in postgresql.conf and restart the "
                   "server";
        }
        const postgres::ArchiverStatus archiver = session->archiver_status();
        if (!archiver.failing_wal.empty() && archiver.failing_wal <= segment) {
            return fmt::format(
                "the server reports {} failed archive commands, the last for '{}': look at its log",
                archiver.failed_count,
                archiver.failing_wal);
        }
        if (archiver.last_archived_wal >= segment) {
            return "the server says that it archived this segment: does archive_command use this "
                   "repository and "
                   "stanza?";
        }
        return fmt::format(
            "the server has archived up to '{}': is the archiver slow? raise archive-timeout",
            archiver.last_archived_wal.empty() ? "nothing" : archiver.last_archived_wal);
    } catch (const Error&) {
        return "is the server still running?";
    }
}

// The one likely reason why a segment does not come.
std::string likely_cause(const repository::Repository& repository,
                         const WalWait& wait,
                         const std::string& segment,
                         postgres::Session* session)
{
    std::string cause = repository::describe_gap(repository, wait.stanza, wait.archive_id, segment);
    cause = cause.empty() ? stop_cause(wait) : cause;
    cause = cause.empty() ? spool_error(wait, segment) : cause;
    return cause.empty() ? archiver_cause(session, segment) : cause;
}

void wait_for_segment(const repository::Repository& repository,
                      const WalWait& wait,
                      const std::string& segment,
                      postgres::Session* session)
{
    const std::uint64_t deadline = monotonic_milliseconds() + wait.timeout_milliseconds;
    GrowingPause pause(kFirstArchiveWait, kLongestArchiveWait);
    for (;;) {
        const auto found = repository::find_wal(repository, wait.stanza, wait.archive_id, segment);
        if (found.size() == 1) {
            return;
        }
        if (found.size() > 1) {
            raise(ErrorCode::archive_duplicate,
                  "the archive of repo{} has {} different files for WAL segment {}",
                  wait.repo_index,
                  found.size(),
                  segment);
        }
        if (monotonic_milliseconds() >= deadline) {
            throw Error(ErrorCode::archive_timeout,
                        fmt::format("WAL segment {} was not archived to repo{} within {} s",
                                    segment,
                                    wait.repo_index,
                                    static_cast<double>(wait.timeout_milliseconds) / 1000.0),
                        likely_cause(repository, wait, segment, session));
        }
        pause.sleep();
    }
}

} // namespace

void wait_for_wal(const repository::Repository& repository,
                  const WalWait& wait,
                  postgres::WalSegment first,
                  postgres::WalSegment last,
                  postgres::Session* session)
{
    for (postgres::WalSegment segment = first; segment <= last; ++segment.number) {
        wait_for_segment(
            repository, wait, postgres::to_string(segment, wait.wal_segment_size), session);
    }
}

} // namespace pgstrata::engine
