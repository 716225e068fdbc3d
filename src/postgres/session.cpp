// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/session.hpp"

#include "postgres/query.hpp"

#include "pgstrata/postgres/version.hpp"
#include "pgstrata/postgres/wal_segment.hpp"
#include "pgstrata/util/error.hpp"

#include <charconv>

namespace pgstrata::postgres {

namespace {

constexpr int kVersionsPerMajor = 10'000;
constexpr unsigned kIdleSessionTimeoutSince = 14;
constexpr unsigned kTransactionTimeoutSince = 17;

template <typename Number>
Number parse_number(std::string_view text, std::string_view what, int base = 10)
{
    Number number{};
    const auto* end = text.data() + text.size();
    const auto [stopped, problem] = std::from_chars(text.data(), end, number, base);
    if (problem != std::errc{} || stopped != end || text.empty()) {
        raise(ErrorCode::db_query, "the server gave '{}' for {}", text, what);
    }
    return number;
}

template <typename Number>
Number number_of(const Value& value, std::string_view what)
{
    return parse_number<Number>(value.value_or(""), what);
}

Lsn lsn_of(const Value& value, std::string_view what)
{
    const auto lsn = parse_lsn(value.value_or(""));
    if (!lsn) {
        raise(ErrorCode::db_query, "the server gave '{}' for {}", value.value_or(""), what);
    }
    return *lsn;
}

bool is_true(const Value& value)
{
    return value == "t";
}

Timeline timeline_of(std::string_view wal_segment)
{
    return parse_number<Timeline>(wal_segment.substr(0, kTimelineDigits), "a WAL segment", 16);
}

Timeline start_timeline_of(std::string_view backup_label)
{
    constexpr std::string_view kField = "\nSTART TIMELINE: ";
    const std::size_t at = backup_label.find(kField);
    if (at == std::string_view::npos) {
        raise(ErrorCode::db_query, "the server's backup label names no timeline");
    }
    backup_label.remove_prefix(at + kField.size());
    return parse_number<Timeline>(backup_label.substr(0, backup_label.find('\n')),
                                  "the timeline in the backup label");
}

class ServerSession final : public Session {
public:
    explicit ServerSession(const SessionOptions& options);

    unsigned major() const override { return version_->major; }
    std::string setting(std::string_view name) override;
    bool is_in_recovery() override;
    std::uint64_t system_identifier() override;
    Timeline timeline() override;
    std::vector<DatabaseInfo> databases() override;
    std::vector<TablespaceInfo> tablespaces() override;
    Lsn current_lsn() override;
    ArchiverStatus archiver_status() override;
    SummarizerState summarizer_state() override;
    void checkpoint() override { query_.rows("CHECKPOINT", 0); }
    BackupStart start_backup(const std::string& label, bool fast) override;
    BackupStop stop_backup() override;
    std::string switch_wal() override;
    Lsn create_restore_point(const std::string& name) override;
    void cancel() noexcept override { query_.cancel(); }

private:
    std::string segment_name(Lsn lsn);

    QueryRunner query_;
    const VersionTraits* version_;
};

ServerSession::ServerSession(const SessionOptions& options)
    : query_(options),
      version_(find_version(static_cast<unsigned>(query_.server_version() / kVersionsPerMajor)))
{
    if (version_ == nullptr) {
        raise(ErrorCode::version_not_supported,
              "PostgreSQL {} is not supported",
              query_.server_version() / kVersionsPerMajor);
    }
    if (major() >= kIdleSessionTimeoutSince) {
        query_.row("SELECT pg_catalog.set_config('idle_session_timeout', '0', false)", 1);
    }
    if (major() >= kTransactionTimeoutSince) {
        query_.row("SELECT pg_catalog.set_config('transaction_timeout', '0', false)", 1);
    }
}

std::string ServerSession::setting(std::string_view name)
{
    const auto row = query_.row(
        "SELECT pg_catalog.current_setting($1::pg_catalog.text, true)", 1, {std::string(name)});
    return row.front().value_or("");
}

bool ServerSession::is_in_recovery()
{
    return is_true(query_.value("SELECT pg_catalog.pg_is_in_recovery()"));
}

std::uint64_t ServerSession::system_identifier()
{
    // The server shows the unsigned number as a signed one.
    return static_cast<std::uint64_t>(parse_number<std::int64_t>(
        query_.value("SELECT system_identifier FROM pg_catalog.pg_control_system()"),
        "the system identifier"));
}

Timeline ServerSession::timeline()
{
    // Until the first checkpoint after a promotion pg_control names the timeline before it.
    if (!is_in_recovery()) {
        return timeline_of(segment_name(current_lsn()));
    }
    return parse_number<Timeline>(
        query_.value("SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()"), "the timeline");
}

std::vector<DatabaseInfo> ServerSession::databases()
{
    std::vector<DatabaseInfo> result;
    for (auto& row : query_.rows("SELECT oid, datname, datistemplate, datallowconn "
                                 "FROM pg_catalog.pg_database ORDER BY oid",
                                 4)) {
        result.push_back({.oid = number_of<std::uint32_t>(row[0], "a database's oid"),
                          .name = row[1].value_or(""),
                          .is_template = is_true(row[2]),
                          .allows_connections = is_true(row[3])});
    }
    return result;
}

std::vector<TablespaceInfo> ServerSession::tablespaces()
{
    std::vector<TablespaceInfo> result;
    for (auto& row : query_.rows("SELECT oid, spcname FROM pg_catalog.pg_tablespace "
                                 "WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid",
                                 2)) {
        result.push_back({.oid = number_of<std::uint32_t>(row[0], "a tablespace's oid"),
                          .name = row[1].value_or("")});
    }
    return result;
}

Lsn ServerSession::current_lsn()
{
    return lsn_of(query_.value("SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
                               "THEN pg_catalog.pg_last_wal_replay_lsn() "
                               "ELSE pg_catalog.pg_current_wal_flush_lsn() END"),
                  "the current LSN");
}

ArchiverStatus ServerSession::archiver_status()
{
    const auto row =
        query_.row("SELECT failed_count, CASE WHEN last_failed_time OPERATOR(pg_catalog.>) "
                   "coalesce(last_archived_time, '-infinity') THEN last_failed_wal END, "
                   "last_archived_wal FROM pg_catalog.pg_stat_archiver",
                   3);
    return {.failed_count = number_of<std::uint64_t>(row[0], "the count of failed archivings"),
            .failing_wal = row[1].value_or(""),
            .last_archived_wal = row[2].value_or("")};
}

SummarizerState ServerSession::summarizer_state()
{
    const auto row = query_.row("SELECT summarized_tli, summarized_lsn, pending_lsn, "
                                "summarizer_pid IS NOT NULL "
                                "FROM pg_catalog.pg_get_wal_summarizer_state()",
                                4);
    return {.timeline = number_of<Timeline>(row[0], "the summarizer's timeline"),
            .summarized = lsn_of(row[1], "the summarized LSN"),
            .pending = lsn_of(row[2], "the summarizer's pending LSN"),
            .is_running = is_true(row[3])};
}

BackupStart ServerSession::start_backup(const std::string& label, bool fast)
{
    const char* const statement =
        version_->has_backup_start_stop
            ? "SELECT pg_catalog.pg_backup_start($1::pg_catalog.text, $2::pg_catalog.bool)"
            : "SELECT pg_catalog.pg_start_backup($1::pg_catalog.text, $2::pg_catalog.bool, false)";
    BackupStart start;
    start.time =
        parse_number<std::int64_t>(query_.value("SELECT pg_catalog.floor(extract(epoch FROM "
                                                "pg_catalog.clock_timestamp()))::pg_catalog.int8"),
                                   "the time");
    start.lsn = lsn_of(query_.value(statement, {label, fast ? "true" : "false"}), "the start LSN");
    if (is_in_recovery()) {
        start.timeline = timeline();
    } else {
        start.wal_segment = segment_name(start.lsn);
        start.timeline = timeline_of(start.wal_segment);
    }
    return start;
}

BackupStop ServerSession::stop_backup()
{
    const char* const statement =
        version_->has_backup_start_stop
            ? "SELECT lsn, labelfile, spcmapfile, pg_catalog.floor(extract(epoch FROM "
              "pg_catalog.clock_timestamp()))::pg_catalog.int8 FROM "
              "pg_catalog.pg_backup_stop(false)"
            : "SELECT lsn, labelfile, spcmapfile, pg_catalog.floor(extract(epoch FROM "
              "pg_catalog.clock_timestamp()))::pg_catalog.int8 "
              "FROM pg_catalog.pg_stop_backup(false, false)";
    const auto row = query_.row(statement, 4);
    if (!row[1] || row[1]->empty()) {
        raise(ErrorCode::db_query, "the server gave no backup label");
    }
    return {.lsn = lsn_of(row[0], "the stop LSN"),
            .start_timeline = start_timeline_of(*row[1]),
            .backup_label = *row[1],
            .tablespace_map = row[2].value_or(""),
            .time = number_of<std::int64_t>(row[3], "the time")};
}

std::string ServerSession::switch_wal()
{
    // The answer is the end of the last record of the segment left behind, or the start of the
    // current one when nothing was written since the last switch: the byte before lies in the
    // completed segment, and never on a border, where versions name segments differently.
    const Lsn end = lsn_of(query_.value("SELECT pg_catalog.pg_switch_wal()"), "the switch LSN");
    if (end.value == 0) {
        raise(ErrorCode::db_query, "the server gave '{}' for the switch LSN", to_string(end));
    }
    return segment_name(Lsn{end.value - 1});
}

Lsn ServerSession::create_restore_point(const std::string& name)
{
    return lsn_of(
        query_.value("SELECT pg_catalog.pg_create_restore_point($1::pg_catalog.text)", {name}),
        "the LSN of the restore point");
}

std::string ServerSession::segment_name(Lsn lsn)
{
    return query_.value("SELECT pg_catalog.pg_walfile_name($1::pg_catalog.pg_lsn)",
                        {to_string(lsn)});
}

} // namespace

std::unique_ptr<Session> connect(const SessionOptions& options)
{
    return std::make_unique<ServerSession>(options);
}

} // namespace pgstrata::postgres
