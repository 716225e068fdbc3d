// SPDX-License-Identifier: PostgreSQL
#include "command/info_health.hpp"

#include <nlohmann/json.hpp>

namespace pgstrata::command {

namespace {

using nlohmann::json;

// The format of repositories whose shape this output has.
constexpr int kBackrestFormat = 5;

json status_json(InfoStatus status, const std::string& problem)
{
    return {{"code", static_cast<int>(status)},
            {"message", problem.empty() ? std::string(status_message(status)) : problem}};
}

void add_progress(json& shown, const InfoLock& lock)
{
    if (lock.size && lock.size_done) {
        shown["size"] = *lock.size;
        shown["size-cplt"] = *lock.size_done;
    }
}

json lock_json(const InfoLock& lock)
{
    json shown = {{"held", lock.is_held}};
    add_progress(shown, lock);
    return shown;
}

json backup_lock_json(const InfoStanza& stanza)
{
    json shown = lock_json(stanza_backup_lock(stanza));
    for (const InfoRepository& repo : stanza.repositories) {
        if (repo.backup_lock.is_held) {
            json of_repo = {{"key", repo.key}};
            add_progress(of_repo, repo.backup_lock);
            shown["repo"].push_back(std::move(of_repo));
        }
    }
    return shown;
}

json stanza_status_json(const InfoStanza& stanza)
{
    json shown = status_json(stanza_status(stanza), {});
    shown["lock"] = {{"backup", backup_lock_json(stanza)},
                     {"restore", lock_json(stanza.restore_lock)}};
    return shown;
}

json database_key(const repository::ArchiveId& id, unsigned repo_key)
{
    return {{"id", id.number}, {"repo-key", repo_key}};
}

void add_repository(json& shown, const InfoRepository& repo)
{
    shown["repo"].push_back({{"cipher", repo.cipher},
                             {"key", repo.key},
                             {"status", status_json(repo.status, repo.problem)}});
    for (const InfoArchive& archive : repo.archives) {
        const repository::Cluster& cluster = archive.cluster;
        shown["db"].push_back({{"id", cluster.id.number},
                               {"repo-key", repo.key},
                               {"system-id", cluster.system_identifier},
                               {"version", std::to_string(cluster.id.major)}});
        const bool is_current = &archive == &repo.archives.back();
        if (is_current || !archive.wal.first.empty() || !archive.gaps.empty()) {
            json entry = {{"database", database_key(cluster.id, repo.key)},
                          {"id", repository::to_string(cluster.id)},
                          {"max", text_or_null(archive.wal.last)},
                          {"min", text_or_null(archive.wal.first)}};
            for (const repository::WalRange& gap : archive.gaps) {
                entry["gap"].push_back({{"max", gap.last}, {"min", gap.first}});
            }
            shown["archive"].push_back(std::move(entry));
        }
        if (archive.window && (is_current || !archive.window->stretches.empty())) {
            shown["window"].push_back(window_json(archive, repo.key));
        }
    }
    if (repo.verified) {
        shown["verify"].push_back(verified_json(*repo.verified, repo.key));
    }
    for (const engine::IncompleteBackup& backup : repo.incomplete) {
        shown["incomplete"].push_back(incomplete_json(backup, repo.key));
    }
}

void add_details(json& shown, const InfoBackup& backup)
{
    const InfoBackupDetails& details = *backup.details;
    shown["database-ref"] = json::array();
    for (const repository::ManifestDatabase& database : details.databases) {
        shown["database-ref"].push_back({{"name", database.name}, {"oid", database.oid}});
    }
    shown["link"] = nullptr;
    for (const repository::ManifestLink& link : details.links) {
        shown["link"].push_back({{"destination", link.destination}, {"name", link.path}});
    }
    shown["tablespace"] = nullptr;
    for (const InfoTablespace& tablespace : details.tablespaces) {
        shown["tablespace"].push_back({{"destination", tablespace.destination},
                                       {"name", tablespace.name},
                                       {"oid", tablespace.oid}});
    }
    if (!backup.summary.damaged_files.empty()) {
        shown["error-list"] = backup.summary.damaged_files;
    }
}

json backup_json(const InfoBackup& backup)
{
    const repository::BackupSummary& summary = backup.summary;
    json shown = {
        {"archive",
         {{"start", text_or_null(summary.start_wal)}, {"stop", text_or_null(summary.stop_wal)}}},
        {"backrest", {{"format", kBackrestFormat}, {"version", summary.program_version}}},
        // Not a key of pgBackRest's.
        {"change",
         {{"read", summary.read},
          {"shared", shared_bytes(summary)},
          {"stored", summary.delta},
          {"tracking", summary.change_tracking}}},
        {"database", database_key(summary.archive_id, backup.repo_key)},
        {"error", !summary.damaged_files.empty()},
        {"info",
         {{"delta", summary.delta},
          {"repository", {{"delta", summary.repository_delta}, {"size", summary.repository_size}}},
          {"size", summary.size}}},
        {"label", summary.label},
        {"prior", text_or_null(summary.prior)},
        {"reference", summary.references.empty() ? json() : json(summary.references)},
        {"timestamp", {{"start", summary.start_time}, {"stop", summary.stop_time}}},
        {"type", repository::to_string(summary.type)},
    };
    add_health(shown, backup);
    if (!summary.annotations.empty()) {
        shown["annotation"] = summary.annotations;
    }
    if (summary.is_online) {
        shown["lsn"] = {{"start", postgres::to_string(summary.start_lsn)},
                        {"stop", postgres::to_string(summary.stop_lsn)}};
    }
    if (backup.details) {
        add_details(shown, backup);
    }
    return shown;
}

json stanza_json(const InfoStanza& stanza, InfoDetail detail)
{
    json shown = {{"name", stanza.name}, {"status", stanza_status_json(stanza)}};
    if (detail == InfoDetail::progress) {
        return shown;
    }
    shown["cipher"] = stanza_cipher(stanza);
    for (const char* list : {"archive", "backup", "db", "incomplete", "repo", "verify", "window"}) {
        shown[list] = json::array();
    }
    for (const InfoRepository& repo : stanza.repositories) {
        add_repository(shown, repo);
    }
    for (const InfoBackup& backup : stanza_backups(stanza)) {
        shown["backup"].push_back(backup_json(backup));
    }
    return shown;
}

} // namespace

std::string render_info_json(const std::vector<InfoStanza>& stanzas, InfoDetail detail)
{
    json shown = json::array();
    for (const InfoStanza& stanza : stanzas) {
        shown.push_back(stanza_json(stanza, detail));
    }
    return shown.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace pgstrata::command
