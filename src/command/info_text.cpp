// SPDX-License-Identifier: PostgreSQL
#include "command/info_health.hpp"

#include "pgstrata/util/printable.hpp"
#include "pgstrata/util/size.hpp"
#include "pgstrata/util/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pgstrata::command {

namespace {

using repository::BackupSummary;
using repository::BackupType;

constexpr std::string_view kDetailIndent = "            ";
constexpr std::string_view kItemIndent = "                ";

// One cluster with what all repositories have of it.
struct Database {
    std::uint64_t system_identifier = 0;
    unsigned major = 0;
    bool is_current = false;
    repository::WalRange wal;
    std::vector<repository::WalRange> gaps;
    std::string windows; // as text
    std::vector<InfoBackup> backups;
};

bool has_progress(const InfoLock& lock)
{
    return lock.size && lock.size_done;
}

std::string percent(const InfoLock& lock)
{
    const auto size = static_cast<double>(*lock.size);
    const double share = *lock.size == 0 ? 1.0 : static_cast<double>(*lock.size_done) / size;
    return fmt::format("{:.2f}% complete", share * 100);
}

void append_activity(std::string& text, std::string_view what, const InfoLock& lock)
{
    if (lock.is_held) {
        text += fmt::format("{}{} running{}{}",
                            text.empty() ? "" : ", ",
                            what,
                            has_progress(lock) ? " - " : "",
                            has_progress(lock) ? percent(lock) : "");
    }
}

std::string status_text(const InfoStanza& stanza, InfoDetail detail)
{
    std::string activity;
    append_activity(activity, "backup/expire", stanza_backup_lock(stanza));
    append_activity(activity, "restore", stanza.restore_lock);
    const InfoStatus status = stanza_status(stanza);
    const bool is_mixed = status == InfoStatus::different && detail == InfoDetail::full;
    if (status == InfoStatus::ok || is_mixed) {
        const std::string_view word = is_mixed ? "mixed" : "ok";
        return activity.empty() ? std::string(word) : fmt::format("{} ({})", word, activity);
    }
    return fmt::format(
        "error ({}{}{})", status_message(status), activity.empty() ? "" : ", ", activity);
}

std::string repository_progress(const InfoStanza& stanza)
{
    const auto running = std::ranges::count_if(stanza.repositories, [](const InfoRepository& repo) {
        return repo.backup_lock.is_held && has_progress(repo.backup_lock);
    });
    std::string text;
    for (const InfoRepository& repo : stanza.repositories) {
        if (running > 1 && has_progress(repo.backup_lock)) {
            text += fmt::format("        repo{} backup: {}\n", repo.key, percent(repo.backup_lock));
        }
    }
    return text;
}

std::string indent_lines(std::string_view lines, std::size_t column)
{
    const std::string indent(column, ' ');
    std::string text = indent;
    for (const char letter : lines) {
        text += letter;
        if (letter == '\n') {
            text += indent;
        }
    }
    return text + "\n";
}

// With one repository the stanza's line has said it all but for the words of an unexpected problem.
std::string repository_statuses(const InfoStanza& stanza)
{
    const InfoStatus status = stanza_status(stanza);
    const bool is_told = status == InfoStatus::different ||
                         status == InfoStatus::database_mismatch || status == InfoStatus::other;
    const bool is_single = stanza.repositories.size() == 1;
    std::string text;
    for (const InfoRepository& repo : stanza.repositories) {
        if (is_told && !is_single) {
            text += repo.status == InfoStatus::ok ? fmt::format("        repo{}: ok\n", repo.key)
                                                  : fmt::format("        repo{}: error ({})\n",
                                                                repo.key,
                                                                status_message(repo.status));
        }
        if (is_told && !repo.problem.empty()) {
            text += indent_lines(repo.problem, is_single ? 12 : 15);
        }
    }
    return text;
}

std::string cipher_text(const InfoStanza& stanza)
{
    if (stanza_status(stanza) == InfoStatus::missing_stanza_path) {
        return {};
    }
    const std::string cipher = stanza_cipher(stanza);
    std::string text = fmt::format("    cipher: {}\n", cipher);
    for (const InfoRepository& repo : stanza.repositories) {
        if (cipher == "mixed") {
            text += fmt::format("        repo{}: {}\n", repo.key, repo.cipher);
        }
    }
    return text;
}

Database& database_of(std::vector<Database>& databases, const repository::Cluster& cluster)
{
    const auto found = std::ranges::find_if(databases, [&](const Database& database) {
        return database.system_identifier == cluster.system_identifier &&
               database.major == cluster.id.major;
    });
    if (found != databases.end()) {
        return *found;
    }
    Database& added = databases.emplace_back();
    added.system_identifier = cluster.system_identifier;
    added.major = cluster.id.major;
    return added;
}

void widen(repository::WalRange& range, const repository::WalRange& other)
{
    if (range.first.empty() || (!other.first.empty() && other.first < range.first)) {
        range.first = other.first;
    }
    range.last = std::max(range.last, other.last);
}

// What several repositories lack is told once.
void add_gaps(std::vector<repository::WalRange>& gaps,
              const std::vector<repository::WalRange>& others)
{
    for (const repository::WalRange& other : others) {
        const bool is_known = std::ranges::any_of(gaps, [&](const repository::WalRange& gap) {
            return gap.first == other.first && gap.last == other.last;
        });
        if (!is_known) {
            gaps.push_back(other);
        }
    }
}

void add_repository(std::vector<Database>& databases, const InfoRepository& repo, bool is_single)
{
    for (const InfoArchive& archive : repo.archives) {
        Database& database = database_of(databases, archive.cluster);
        widen(database.wal, archive.wal);
        add_gaps(database.gaps, archive.gaps);
        if (archive.window) {
            database.windows += window_text(*archive.window, is_single ? 0 : repo.key);
        }
        database.is_current = database.is_current || &archive == &repo.archives.back();
        for (const InfoBackup& backup : repo.backups) {
            if (backup.summary.archive_id == archive.cluster.id) {
                database.backups.push_back(backup);
            }
        }
    }
}

// The clusters of old come first; one of which nothing is left is not told of.
std::vector<Database> collect_databases(const InfoStanza& stanza)
{
    std::vector<Database> databases;
    for (const InfoRepository& repo : stanza.repositories) {
        add_repository(databases, repo, stanza.repositories.size() == 1);
    }
    std::erase_if(databases, [](const Database& database) {
        return !database.is_current && database.wal.first.empty() && database.gaps.empty() &&
               database.backups.empty();
    });
    std::stable_partition(databases.begin(), databases.end(), [](const Database& database) {
        return !database.is_current;
    });
    for (Database& database : databases) {
        std::ranges::stable_sort(database.backups, {}, [](const InfoBackup& backup) {
            return backup.summary.stop_time;
        });
    }
    return databases;
}

std::string join(const std::vector<std::string>& parts)
{
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string reference_total(const BackupSummary& summary)
{
    std::vector<std::string> parts;
    for (const BackupType type : {BackupType::full, BackupType::diff, BackupType::incr}) {
        const auto count = std::ranges::count_if(summary.references, [&](const std::string& label) {
            const auto parsed = repository::parse_backup_label(label);
            return parsed && parsed->type == type;
        });
        if (count > 0) {
            parts.push_back(fmt::format("{} {}", count, repository::to_string(type)));
        }
    }
    return join(parts);
}

std::string sizes_text(const InfoBackup& backup)
{
    const BackupSummary& summary = backup.summary;
    return fmt::format("{0}database size: {1}, database backup size: {2}\n"
                       "{0}repo{3}: backup set size: {4}, backup size: {5}\n",
                       kDetailIndent,
                       format_size(summary.size),
                       format_size(summary.delta),
                       backup.repo_key,
                       format_size(summary.repository_size),
                       format_size(summary.repository_delta));
}

// Of a backup that builds on another: what it cost and what it saved.
std::string changes_text(const BackupSummary& summary)
{
    if (summary.prior.empty()) {
        return {};
    }
    return fmt::format("{}changes: {} read, {} stored, {} shared ({})\n",
                       kDetailIndent,
                       format_size(summary.read),
                       format_size(summary.delta),
                       format_size(shared_bytes(summary)),
                       summary.change_tracking);
}

std::string references_text(const InfoBackup& backup)
{
    const BackupSummary& summary = backup.summary;
    if (summary.references.empty()) {
        return {};
    }
    return backup.details
               ? fmt::format(
                     "{}backup reference list: {}\n", kDetailIndent, join(summary.references))
               : fmt::format(
                     "{}backup reference total: {}\n", kDetailIndent, reference_total(summary));
}

std::string details_text(const InfoBackupDetails& details)
{
    std::vector<std::string> databases;
    for (const repository::ManifestDatabase& database : details.databases) {
        databases.push_back(fmt::format("{} ({})", make_one_line(database.name), database.oid));
    }
    std::string text = fmt::format(
        "{}database list: {}\n", kDetailIndent, databases.empty() ? "none" : join(databases));
    if (!details.links.empty()) {
        text += fmt::format("{}symlinks:\n", kDetailIndent);
    }
    for (const repository::ManifestLink& link : details.links) {
        text += fmt::format(
            "{}{} => {}\n", kItemIndent, make_one_line(link.path), make_one_line(link.destination));
    }
    if (!details.tablespaces.empty()) {
        text += fmt::format("{}tablespaces:\n", kDetailIndent);
    }
    for (const InfoTablespace& tablespace : details.tablespaces) {
        text += fmt::format("{}{} ({}) => {}\n",
                            kItemIndent,
                            make_one_line(tablespace.name),
                            tablespace.oid,
                            make_one_line(tablespace.destination));
    }
    return text;
}

std::string errors_text(const InfoBackup& backup)
{
    const std::vector<std::string>& damaged = backup.summary.damaged_files;
    if (damaged.empty()) {
        return {};
    }
    return backup.details
               ? fmt::format("{}error list: {}\n", kDetailIndent, make_one_line(join(damaged)))
               : fmt::format("{}error(s) detected during backup\n", kDetailIndent);
}

std::string annotations_text(const InfoBackup& backup)
{
    if (!backup.details || backup.summary.annotations.empty()) {
        return {};
    }
    std::string text = fmt::format("{}annotation(s)\n", kDetailIndent);
    for (const auto& [key, value] : backup.summary.annotations) {
        text += fmt::format("{}{}: {}\n", kItemIndent, make_one_line(key), make_one_line(value));
    }
    return text;
}

std::string backup_text(const InfoBackup& backup)
{
    const BackupSummary& summary = backup.summary;
    std::string text = fmt::format("\n        {} backup: {}\n{}timestamp start/stop: {} / {}\n",
                                   repository::to_string(summary.type),
                                   summary.label,
                                   kDetailIndent,
                                   format_local_time(summary.start_time),
                                   format_local_time(summary.stop_time));
    text += summary.start_wal.empty() ? fmt::format("{}wal start/stop: n/a\n", kDetailIndent)
                                      : fmt::format("{}wal start/stop: {} / {}\n",
                                                    kDetailIndent,
                                                    summary.start_wal,
                                                    summary.stop_wal);
    if (backup.details && summary.is_online) {
        text += fmt::format("{}lsn start/stop: {} / {}\n",
                            kDetailIndent,
                            postgres::to_string(summary.start_lsn),
                            postgres::to_string(summary.stop_lsn));
    }
    text += sizes_text(backup) + changes_text(backup.summary) + references_text(backup) +
            health_text(backup);
    if (backup.details) {
        text += details_text(*backup.details);
    }
    return text + errors_text(backup) + annotations_text(backup);
}

std::string database_text(const Database& database)
{
    std::string text = fmt::format(
        "\n    db ({})\n        wal archive min/max ({}): {}\n",
        database.is_current ? "current" : "prior",
        database.major,
        database.wal.first.empty() ? "none present"
                                   : fmt::format("{}/{}", database.wal.first, database.wal.last));
    for (const repository::WalRange& gap : database.gaps) {
        text +=
            fmt::format("        wal archive gap (dropped) min/max: {}/{}\n", gap.first, gap.last);
    }
    text += database.windows;
    for (const InfoBackup& backup : database.backups) {
        text += backup_text(backup);
    }
    return text;
}

std::string stanza_text(const InfoStanza& stanza, InfoDetail detail)
{
    std::string text = fmt::format("stanza: {}\n    status: {}\n{}",
                                   stanza.name,
                                   status_text(stanza, detail),
                                   repository_progress(stanza));
    if (detail == InfoDetail::progress) {
        return text;
    }
    text += repository_statuses(stanza) + cipher_text(stanza) + incomplete_text(stanza) +
            verified_text(stanza);
    for (const Database& database : collect_databases(stanza)) {
        text += database_text(database);
    }
    return text;
}

} // namespace

std::string render_info_text(const std::vector<InfoStanza>& stanzas, InfoDetail detail)
{
    if (stanzas.empty()) {
        return "No stanzas exist in the repository.\n";
    }
    std::string text;
    for (const InfoStanza& stanza : stanzas) {
        text += (text.empty() ? "" : "\n") + stanza_text(stanza, detail);
    }
    return text;
}

} // namespace pgstrata::command
