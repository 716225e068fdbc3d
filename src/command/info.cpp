// SPDX-License-Identifier: PostgreSQL
#include "command/info_verified.hpp"
#include "command/output.hpp"
#include "command/retention_policy.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/error_names.hpp"
#include "pgstrata/command/info_report.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/archive_state.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>

namespace pgstrata::command {

namespace {

// The name under which a repository is shown that cannot even list its stanzas.
constexpr const char* kInvalid = "[invalid]";
constexpr std::string_view kTablespaceDirectory = "pg_tblspc";

// What is asked for.
struct Query {
    std::string stanza; // empty for all
    std::string label;  // of the only backup to show; empty for all
    std::string type;   // of the backups to show; empty for all
    // When a backup that is shown ended.
    UnixSeconds from = std::numeric_limits<UnixSeconds>::min();
    UnixSeconds to = std::numeric_limits<UnixSeconds>::max();
    InfoDetail detail = InfoDetail::full;
};

// A repository as far as it could be opened.
struct InfoSource {
    unsigned key = 1;
    std::string cipher;
    std::unique_ptr<storage::Storage> storage;
    std::unique_ptr<repository::Repository> repository; // null when there is none yet
    repository::RetentionPolicy policy;
    std::vector<std::string> stanzas;
    std::string problem;
};

std::string describe(const Error& error)
{
    const std::string text = fmt::format("[{}] {}", error_name(error.code()), error.what());
    return error.hint().empty() ? text : fmt::format("{}\nHINT: {}", text, error.hint());
}

// Microseconds since the Unix epoch.
std::int64_t read_time(const config::Config& config, const std::string& option)
{
    const std::string& text = config.text(option);
    const auto time = parse_timestamp_microseconds(text);
    if (!time) {
        throw Error(ErrorCode::format,
                    fmt::format("'{}' is not valid for '{}' option: it is no time", text, option),
                    "time format must be YYYY-MM-DD HH:MM:SS with optional fraction and timezone, "
                    "such as '2026-11-21 14:00:00+00'");
    }
    return *time;
}

void read_times(const config::Config& config, Query& query)
{
    if (config.has("from")) {
        query.from =
            (read_time(config, "from") + kMicrosecondsPerSecond - 1) / kMicrosecondsPerSecond;
    }
    if (config.has("to")) {
        query.to = read_time(config, "to") / kMicrosecondsPerSecond;
    }
    if (query.from > query.to) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("'{}' is not valid for 'to' option: it is before '{}' of 'from'",
                                config.text("to"),
                                config.text("from")));
    }
}

Query read_query(const config::Config& config)
{
    Query query;
    query.stanza = config.text("stanza");
    query.label = config.text("set");
    query.type = config.text("type");
    read_times(config, query);
    if (config.text("detail-level") == "progress") {
        query.detail = InfoDetail::progress;
        if (!query.label.empty()) {
            throw Error(ErrorCode::option_invalid,
                        "option 'set' is not valid with option 'detail-level' set to 'progress'");
        }
    }
    return query;
}

// Rules that cannot be understood are for expire to refuse.
repository::RetentionPolicy read_policy(const config::Config& config, unsigned index)
{
    try {
        return retention_policy(config, index);
    } catch (const Error& error) {
        log::warn("what expires when is not known: {}", error.what());
        return {};
    }
}

InfoSource open_source(const config::Config& config, const Query& query, unsigned index)
{
    InfoSource source;
    source.key = index;
    source.cipher = config.text("repo-cipher-type", index);
    source.policy = read_policy(config, index);
    try {
        source.storage = open_storage(config, index);
        source.stanzas = repository::list_stanzas(*source.storage);
        const bool is_there = repository::has_identity(*source.storage);
        if (is_there && query.detail == InfoDetail::full) {
            source.repository =
                repository::Repository::open(*source.storage, cipher_setting(config, index));
        }
    } catch (const Error& error) {
        source.problem = describe(error);
    }
    return source;
}

std::vector<std::string> stanza_names(const Query& query, const std::vector<InfoSource>& sources)
{
    if (!query.stanza.empty()) {
        return {query.stanza};
    }
    std::set<std::string> names;
    bool has_problem = false;
    for (const InfoSource& source : sources) {
        names.insert(source.stanzas.begin(), source.stanzas.end());
        has_problem = has_problem || !source.problem.empty();
    }
    if (names.empty() && has_problem) {
        return {kInvalid};
    }
    return {names.begin(), names.end()};
}

InfoLock lock_of(const config::Config& config,
                 const std::string& stanza,
                 engine::LockType type,
                 unsigned key)
{
    InfoLock lock;
    try {
        const auto status = engine::read_lock(config.text("lock-path"), stanza, type, key);
        lock.is_held = status.has_value();
        if (status && status->size && status->size_done) {
            lock.size = status->size;
            lock.size_done = status->size_done;
        }
    } catch (const Error& error) {
        log::warn("unable to tell whether a command runs: {}", error.what());
    }
    return lock;
}

InfoBackupDetails read_details(const repository::Repository& repository,
                               const std::string& stanza,
                               const std::string& label)
{
    repository::Manifest manifest = repository::read_manifest(repository, stanza, label);
    InfoBackupDetails details;
    for (repository::ManifestDatabase& database : manifest.databases) {
        if (!database.is_template) {
            details.databases.push_back(std::move(database));
        }
    }
    std::ranges::sort(details.databases, {}, &repository::ManifestDatabase::name);
    for (repository::ManifestLink& link : manifest.links) {
        if (parent_path(link.path) != kTablespaceDirectory) {
            details.links.push_back(std::move(link));
            continue;
        }
        InfoTablespace tablespace{.destination = link.destination};
        tablespace.oid = static_cast<std::uint32_t>(
            std::strtoul(std::string(file_name(link.path)).c_str(), nullptr, 10));
        tablespace.name = repository::tablespace_name(manifest, tablespace.oid);
        details.tablespaces.push_back(std::move(tablespace));
    }
    return details;
}

// A backup that cannot be read does not hide the others.
void add_problem(const Error& error, InfoRepository& repo)
{
    repo.status = InfoStatus::other;
    repo.problem += (repo.problem.empty() ? "" : "\n") + describe(error);
}

bool is_asked_for(const Query& query, const repository::BackupSummary& summary)
{
    return (query.label.empty() || query.label == summary.label) &&
           (query.type.empty() || query.type == repository::to_string(summary.type)) &&
           summary.stop_time >= query.from && summary.stop_time <= query.to;
}

void add_backup(const InfoSource& source,
                const std::string& stanza,
                const Query& query,
                InfoBackup backup,
                InfoRepository& repo)
{
    if (!is_asked_for(query, backup.summary)) {
        return;
    }
    backup.repo_key = source.key;
    backup.retention = repository::classify_retention(source.policy, backup.summary);
    if (!query.label.empty()) {
        try {
            backup.details = read_details(*source.repository, stanza, backup.summary.label);
        } catch (const Error& error) {
            add_problem(error, repo);
            return;
        }
    }
    repo.backups.push_back(std::move(backup));
}

// The archives of all generations, and by label the WAL that backups lack.
std::map<std::string, std::vector<repository::WalRange>>
read_archives(const repository::Repository& repository,
              const std::string& stanza,
              const std::vector<repository::Cluster>& clusters,
              const std::vector<repository::BackupSummary>& backups,
              InfoRepository& repo)
{
    std::map<std::string, std::vector<repository::WalRange>> missing;
    for (const repository::Cluster& cluster : clusters) {
        engine::ArchiveState state =
            engine::read_archive_state(repository, stanza, cluster, backups);
        for (const Error& problem : state.problems) {
            add_problem(problem, repo);
        }
        for (repository::BackupWal& wal : state.coverage.backups) {
            missing[wal.label] = std::move(wal.missing);
        }
        repo.archives.push_back({cluster,
                                 std::move(state.wal),
                                 repository::list_gaps(repository, stanza, cluster),
                                 std::move(state.window)});
    }
    return missing;
}

void read_stanza(const InfoSource& source,
                 const std::string& stanza,
                 const Query& query,
                 InfoRepository& repo)
{
    const auto exists = [&](const std::string& path) {
        return source.storage->info(path).has_value();
    };
    if (!exists(repository::archive_path(stanza)) && !exists(repository::backup_path(stanza))) {
        repo.status = InfoStatus::missing_stanza_path;
        return;
    }
    if (query.detail == InfoDetail::progress) {
        return;
    }
    repo.status = InfoStatus::missing_stanza_data;
    if (!source.repository) {
        return;
    }
    const auto clusters = repository::list_clusters(*source.repository, stanza);
    if (clusters.empty()) {
        return;
    }
    repo.status = InfoStatus::no_backup;
    auto catalog = repository::read_backups(
        *source.repository, stanza, [&](const std::string&, const Error& error) {
            add_problem(error, repo);
        });
    auto missing = read_archives(*source.repository, stanza, clusters, catalog.backups, repo);
    repo.incomplete = engine::describe_incomplete(*source.repository, stanza, catalog.incomplete);
    repo.verified = read_verified(*source.repository, stanza, catalog.backups);
    if (repo.status == InfoStatus::no_backup && !catalog.backups.empty()) {
        repo.status = InfoStatus::ok;
    }
    for (repository::BackupSummary& summary : catalog.backups) {
        auto& missing_wal = missing[summary.label];
        add_backup(source,
                   stanza,
                   query,
                   {.summary = std::move(summary), .missing_wal = std::move(missing_wal)},
                   repo);
    }
    if (repo.status == InfoStatus::ok && !query.label.empty() && repo.backups.empty()) {
        repo.status = InfoStatus::missing_backup;
    }
}

InfoRepository
gather_repository(const InfoSource& source, const std::string& stanza, const Query& query)
{
    InfoRepository repo{.key = source.key, .cipher = source.cipher, .problem = source.problem};
    if (!repo.problem.empty()) {
        repo.status = InfoStatus::other;
        return repo;
    }
    try {
        read_stanza(source, stanza, query, repo);
    } catch (const Error& error) {
        repo.status = InfoStatus::other;
        repo.problem = describe(error);
    }
    return repo;
}

InfoStanza gather_stanza(const config::Config& config,
                         const std::vector<InfoSource>& sources,
                         const std::string& name,
                         const Query& query)
{
    InfoStanza stanza;
    stanza.name = name;
    for (const InfoSource& source : sources) {
        InfoRepository repo = gather_repository(source, name, query);
        repo.backup_lock = lock_of(config, name, engine::LockType::backup, source.key);
        stanza.repositories.push_back(std::move(repo));
    }
    for (const unsigned index : config.repo_indexes()) {
        const InfoLock lock = lock_of(config, name, engine::LockType::restore, index);
        if (lock.is_held) {
            stanza.restore_lock = lock;
        }
    }
    return stanza;
}

} // namespace

int run_info(const config::Config& config)
{
    const Query query = read_query(config);
    std::vector<InfoSource> sources;
    for (const unsigned index : chosen_repositories(config)) {
        sources.push_back(open_source(config, query, index));
    }
    std::vector<InfoStanza> stanzas;
    for (const std::string& name : stanza_names(query, sources)) {
        stanzas.push_back(gather_stanza(config, sources, name, query));
    }
    if (config.text("output") == "json") {
        print(render_info_json(stanzas, query.detail));
    } else {
        print_printable(render_info_text(stanzas, query.detail));
    }
    return 0;
}

} // namespace pgstrata::command
