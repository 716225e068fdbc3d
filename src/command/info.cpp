// SPDX-License-Identifier: PostgreSQL
#include "command/output.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/error_names.hpp"
#include "pgstrata/command/info_report.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/wal_gap.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <cstdlib>
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
    InfoDetail detail = InfoDetail::full;
};

// A repository as far as it could be opened.
struct Source {
    unsigned key = 1;
    std::string cipher;
    std::unique_ptr<storage::Storage> storage;
    std::unique_ptr<repository::Repository> repository; // null when there is none yet
    std::vector<std::string> stanzas;
    std::string problem;
};

std::string describe(const Error& error)
{
    const std::string text = fmt::format("[{}] {}", error_name(error.code()), error.what());
    return error.hint().empty() ? text : fmt::format("{}\nHINT: {}", text, error.hint());
}

Query read_query(const config::Config& config)
{
    Query query;
    query.stanza = config.text("stanza");
    query.label = config.text("set");
    query.type = config.text("type");
    if (config.text("detail-level") == "progress") {
        query.detail = InfoDetail::progress;
        if (!query.label.empty()) {
            throw Error(ErrorCode::option_invalid,
                        "option 'set' is not valid with option 'detail-level' set to 'progress'");
        }
    }
    return query;
}

Source open_source(const config::Config& config, const Query& query, unsigned index)
{
    Source source;
    source.key = index;
    source.cipher = config.text("repo-cipher-type", index);
    try {
        source.storage = open_storage(config, index);
        source.stanzas = repository::list_stanzas(*source.storage);
        const bool is_there = source.storage->info(repository::kRepositoryFile).has_value();
        if (is_there && query.detail == InfoDetail::full) {
            source.repository =
                repository::Repository::open(*source.storage, cipher_setting(config, index));
        }
    } catch (const Error& error) {
        source.problem = describe(error);
    }
    return source;
}

std::vector<std::string> stanza_names(const Query& query, const std::vector<Source>& sources)
{
    if (!query.stanza.empty()) {
        return {query.stanza};
    }
    std::set<std::string> names;
    bool has_problem = false;
    for (const Source& source : sources) {
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
        const auto known = std::ranges::find(
            manifest.tablespaces, tablespace.oid, &repository::ManifestTablespace::oid);
        if (known != manifest.tablespaces.end()) {
            tablespace.name = known->name;
        }
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

void add_backup(const Source& source,
                const std::string& stanza,
                const Query& query,
                repository::BackupSummary summary,
                InfoRepository& repo)
{
    repo.status = repo.status == InfoStatus::no_backup ? InfoStatus::ok : repo.status;
    const bool is_asked_for =
        (query.label.empty() || query.label == summary.label) &&
        (query.type.empty() || query.type == repository::to_string(summary.type));
    if (!is_asked_for) {
        return;
    }
    InfoBackup backup{.repo_key = source.key, .summary = std::move(summary)};
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

void read_stanza(const Source& source,
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
    for (const repository::Cluster& cluster :
         repository::list_clusters(*source.repository, stanza)) {
        repo.archives.push_back({cluster,
                                 repository::wal_range(*source.repository, stanza, cluster.id),
                                 repository::list_gaps(*source.repository, stanza, cluster)});
    }
    if (repo.archives.empty()) {
        return;
    }
    repo.status = InfoStatus::no_backup;
    auto backups = repository::list_backups(
        *source.repository, stanza, [&](const std::string&, const Error& error) {
            add_problem(error, repo);
        });
    for (repository::BackupSummary& summary : backups) {
        add_backup(source, stanza, query, std::move(summary), repo);
    }
    if (repo.status == InfoStatus::ok && !query.label.empty() && repo.backups.empty()) {
        repo.status = InfoStatus::missing_backup;
    }
}

InfoRepository
gather_repository(const Source& source, const std::string& stanza, const Query& query)
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
                         const std::vector<Source>& sources,
                         const std::string& name,
                         const Query& query)
{
    InfoStanza stanza;
    stanza.name = name;
    for (const Source& source : sources) {
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
    std::vector<Source> sources;
    for (const unsigned index : chosen_repositories(config)) {
        sources.push_back(open_source(config, query, index));
    }
    std::vector<InfoStanza> stanzas;
    for (const std::string& name : stanza_names(query, sources)) {
        stanzas.push_back(gather_stanza(config, sources, name, query));
    }
    print(config.text("output") == "json" ? render_info_json(stanzas, query.detail)
                                          : render_info_text(stanzas, query.detail));
    return 0;
}

} // namespace pgstrata::command
