// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::postgres {

struct SessionOptions {
    std::string socket_path; // directory or host; empty for libpq's default
    std::uint16_t port = 5432;
    std::string user; // empty: PGUSER or the OS user
    std::string database = "postgres";
    std::uint64_t timeout_milliseconds = 1800000; // for each query; connecting waits at most 60 s
    std::string application_name = "pgstrata";
};

struct BackupStart {
    Lsn lsn;
    Timeline timeline = 0;
    std::string wal_segment; // name of the segment with the start LSN; empty on a standby
    std::int64_t time = 0;   // server's clock, Unix seconds
};

struct BackupStop {
    Lsn lsn;
    Timeline start_timeline = 0; // by the label
    std::string backup_label;    // byte exact
    std::string tablespace_map;  // byte exact, may be empty
    std::int64_t time = 0;
};

struct DatabaseInfo {
    std::uint32_t oid = 0;
    std::string name; // bytes as the server sends them
    bool is_template = false;
    bool allows_connections = true;
};

struct TablespaceInfo {
    std::uint32_t oid = 0;
    std::string name;
};

struct ArchiverStatus {
    std::uint64_t failed_count = 0; // since the server's statistics began
    std::string failing_wal;        // what the last attempt was for; empty when it did not fail
    std::string last_archived_wal;
};

// How far the server's WAL summarizer is.
struct SummarizerState {
    Timeline timeline = 0; // of `summarized`
    Lsn summarized;        // the summaries on disk reach to here; zero before it first ran
    Lsn pending;           // read, but not yet in a summary
    bool is_running = false;
};

// One connection to a server. Every statement names its schema and the search_path is empty, so
// that nobody's objects stand in for the server's. Server-side timeouts are switched off, TCP
// keep-alives stay on. One thread at a time, but cancel() may come from any. Failures throw
// Error(db_connect) or Error(db_query) with the server's words; a query that outlives the timeout
// is cancelled and throws Error(db_query).
class Session : NonCopyable {
public:
    virtual ~Session() = default;

    virtual unsigned major() const = 0;                     // 15
    virtual std::string setting(std::string_view name) = 0; // current_setting; empty when unknown
    virtual bool is_in_recovery() = 0;
    virtual std::uint64_t system_identifier() = 0;
    virtual Timeline timeline() = 0; // that it writes; of a standby's latest restartpoint
    virtual std::vector<DatabaseInfo> databases() = 0;
    virtual std::vector<TablespaceInfo> tablespaces() = 0; // those made by users
    virtual Lsn current_lsn() = 0; // up to where WAL is durable, or replayed on a standby
    virtual ArchiverStatus archiver_status() = 0;
    virtual SummarizerState summarizer_state() = 0; // 17+

    // CHECKPOINT; needs a superuser, or pg_checkpoint since version 15.
    virtual void checkpoint() = 0;
    // pg_start_backup(..., exclusive := false) or pg_backup_start.
    virtual BackupStart start_backup(const std::string& label, bool fast) = 0;
    // Does not wait for the archive.
    virtual BackupStop stop_backup() = 0;
    // Returns the name of the segment that was being written, or was completed last when nothing
    // was written since.
    virtual std::string switch_wal() = 0;
    virtual Lsn create_restore_point(const std::string& name) = 0;
    // Asks the server to end what it is doing; safe from any thread.
    virtual void cancel() noexcept = 0;
};

// Connects. libpq is loaded when the first session is opened, not before.
std::unique_ptr<Session> connect(const SessionOptions& options);

} // namespace pgstrata::postgres
