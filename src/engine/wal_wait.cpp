// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/wal_wait.hpp"

#include "pgstrata/engine/lock.hpp"
#include "pgstrata/engine/spool.hpp"
#include "pgstrata/repository/wal_archive.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <unistd.h>

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

repository::WalObjectName wait_for_segment(const repository::Repository& repository,
                                           const WalWait& wait,
                                           const std::string& segment,
                                           postgres::Session* session)
{
    const std::uint64_t deadline = monotonic_milliseconds() + wait.timeout_milliseconds;
    GrowingPause pause(kFirstArchiveWait, kLongestArchiveWait);
    for (;;) {
        const auto found = repository::find_wal(repository, wait.stanza, wait.archive_id, segment);
        if (found.size() == 1) {
            return found.front();
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

repository::WalObjectName wait_for_wal(const repository::Repository& repository,
                                       const WalWait& wait,
                                       postgres::WalSegment first,
                                       postgres::WalSegment last,
                                       postgres::Session* session)
{
    repository::WalObjectName archived;
    for (postgres::WalSegment segment = first; segment <= last; ++segment.number) {
        archived = wait_for_segment(
            repository, wait, postgres::to_string(segment, wait.wal_segment_size), session);
    }
    return archived;
}

void check_own_wal(const WalWait& wait,
                   const std::string& data_directory,
                   const repository::WalObjectName& archived)
{
    const std::string path = join_path(data_directory, "pg_wal/" + archived.wal_name);
    const auto file = open_if_there(path);
    if (!file ||
        repository::wal_digest(file->get(), wait.wal_segment_size, path, archived.digest) ==
            archived.digest) {
        return;
    }
    // The server gives the file another name before it writes the next WAL into it.
    if (::access(path.c_str(), F_OK) == 0) {
        throw Error(
            ErrorCode::archive_duplicate,
            fmt::format("WAL segment {} in the archive of repo{} is not the one that this "
                        "server wrote",
                        archived.wal_name,
                        wait.repo_index),
            "has this server gone back to an earlier state, or does another one archive to "
            "the same stanza? WAL of this one cannot be archived there: use another stanza, "
            "or take away what belongs to the state that was given up");
    }
}

} // namespace pgstrata::engine
