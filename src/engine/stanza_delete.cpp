// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/stanza_delete.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

void remove_summaries(const repository::Repository& repository, const std::string& stanza)
{
    std::vector<std::string> summaries;
    for (const std::string& label : repository::list_labels(repository, stanza)) {
        summaries.push_back(repository::summary_path(stanza, label));
    }
    // Those that others build on last.
    std::ranges::reverse(summaries);
    repository.storage().remove_all(summaries);
}

// The archive of a generation without its cluster.json is refused by all who read or write it.
void remove_clusters(storage::Storage& storage, const std::string& stanza)
{
    std::vector<std::string> clusters;
    storage.list(repository::archive_path(stanza), [&](const storage::EntryInfo& entry) {
        if (const auto id = repository::parse_archive_id(entry.name)) {
            clusters.push_back(repository::cluster_path(stanza, *id));
        }
    });
    storage.remove_all(clusters);
}

void remove_tree(storage::Storage& storage, const std::string& path)
{
    check_cancelled();
    std::vector<std::string> files;
    std::vector<std::string> directories;
    storage.list(path, [&](const storage::EntryInfo& entry) {
        (entry.type == storage::EntryType::directory ? directories : files)
            .push_back(join_path(path, entry.name));
    });
    for (const std::string& directory : directories) {
        remove_tree(storage, directory);
    }
    storage.remove_all(files);
    storage.remove_directory(path);
}

} // namespace

bool has_stanza(const storage::Storage& storage, const std::string& stanza)
{
    return storage.info(repository::archive_path(stanza)).has_value() ||
           storage.info(repository::backup_path(stanza)).has_value();
}

void delete_stanza(const repository::Repository& repository, const std::string& stanza)
{
    check_no_backup_in_progress(repository, stanza);
    storage::Storage& storage = repository.storage();
    remove_summaries(repository, stanza);
    remove_clusters(storage, stanza);
    remove_tree(storage, repository::backup_path(stanza));
    remove_tree(storage, repository::archive_path(stanza));
}

} // namespace pgstrata::engine
