// SPDX-License-Identifier: PostgreSQL
#include "command/locks.hpp"
#include "command/stanza.hpp"

#include "pgstrata/command/commands.hpp"
#include "pgstrata/command/repositories.hpp"
#include "pgstrata/engine/cluster_check.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/path.hpp"

namespace pgstrata::command {

namespace {

constexpr unsigned kFirstGeneration = 1;

bool is_empty_directory(const storage::Storage& storage, const std::string& path)
{
    bool is_empty = true;
    storage.list(path, [&](const storage::EntryInfo&) { is_empty = false; });
    return is_empty;
}

// Nothing of a stanza that is to be created may be there, but for the empty directories that a
// stanza-create leaves which was cut off.
void check_directories(const storage::Storage& storage, const std::string& stanza)
{
    const auto refuse = [&](const std::string& path, bool is_ours) {
        if (is_ours) {
            throw Error(
                ErrorCode::file_missing,
                fmt::format("'{}' has contents but the stanza's cluster.json is missing", path),
                "bring cluster.json back from a copy of the repository, or move the directory "
                "away");
        }
        throw Error(ErrorCode::path_not_empty,
                    fmt::format("'{}' in '{}' is nothing of pgstrata's", path, storage.location()),
                    "use another repo-path, or move it away");
    };
    const std::string archive = repository::archive_path(stanza);
    storage.list(archive, [&](const storage::EntryInfo& entry) {
        const bool is_generation = entry.type == storage::EntryType::directory &&
                                   repository::parse_archive_id(entry.name).has_value();
        if (!is_generation || !is_empty_directory(storage, join_path(archive, entry.name))) {
            refuse(join_path(archive, entry.name), is_generation);
        }
    });
    const std::string backup = repository::backup_path(stanza);
    storage.list(backup, [&](const storage::EntryInfo& entry) {
        refuse(join_path(backup, entry.name),
               repository::parse_backup_label(entry.name).has_value());
    });
}

void create_on(const config::Config& config, unsigned index, const postgres::ControlFile& control)
{
    const std::string& stanza = config.text("stanza");
    log::info("stanza-create for stanza '{}' on repo{}", stanza, index);
    const OpenedRepository opened = open_repository(config, index, RepositoryAccess::create);
    const auto clusters = repository::list_clusters(*opened.repository, stanza);
    if (clusters.empty()) {
        check_directories(*opened.storage, stanza);
        repository::write_cluster(
            *opened.repository, stanza, repository::make_cluster(control, kFirstGeneration));
        return;
    }
    for (const repository::Cluster& cluster : clusters) {
        repository::mend_cluster(*opened.repository, stanza, cluster.id);
    }
    try {
        engine::check_identity(control, clusters.back(), ErrorCode::file_invalid);
    } catch (const Error& error) {
        throw Error(
            error.code(),
            fmt::format("stanza '{}' already exists on repo{}: {}", stanza, index, error.what()),
            "use stanza-upgrade to adapt the stanza to an upgraded cluster");
    }
    log::info("stanza '{}' already exists on repo{} and is valid", stanza, index);
}

} // namespace

int run_stanza_create(const config::Config& config)
{
    const std::string& stanza = config.text("stanza");
    check_stanza_name(stanza);
    using enum engine::LockType;
    const auto lock =
        take_locks_unless_stopped(config, {archive, backup, restore}, config.repo_indexes());
    const postgres::ControlFile control = read_own_cluster(config);
    for (const unsigned index : config.repo_indexes()) {
        create_on(config, index, control);
    }
    return 0;
}

} // namespace pgstrata::command
