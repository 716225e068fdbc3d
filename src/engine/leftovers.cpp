// SPDX-License-Identifier: PostgreSQL
#include "engine/leftovers.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/parallel.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::Repository;

// Listing is waiting for the store.
constexpr std::size_t kListers = 4;

struct Leftovers {
    bool has_journals = false;
    std::vector<std::string> paths; // of leases and the record
    bool is_any() const { return has_journals || !paths.empty(); }
};

Leftovers find_leftovers(const Repository& repository,
                         const std::string& stanza,
                         const std::string& label,
                         bool has_record)
{
    Leftovers found;
    const std::string directory = repository::backup_path(stanza, label);
    const std::string journals = repository::journal_path(stanza, label);
    repository.storage().list(directory, [&](const storage::EntryInfo& entry) {
        const std::string path = fmt::format("{}/{}", directory, entry.name);
        if (repository::parse_lease_name(entry.name)) {
            found.paths.push_back(path);
        }
        found.has_journals = found.has_journals || path == journals;
    });
    if (has_record) {
        found.paths.push_back(repository::history_path(stanza, label));
    }
    return found;
}

void remove_beside_summary(const Repository& repository,
                           const std::string& stanza,
                           const std::string& label,
                           bool has_record)
{
    const Leftovers found = find_leftovers(repository, stanza, label, has_record);
    if (!found.is_any() || is_in_progress(repository, stanza, label) ||
        !repository.storage().info(repository::summary_path(stanza, label))) {
        return;
    }
    log::info("remove what a run that was cut off has left of its work on backup {}", label);
    if (found.has_journals) {
        repository::remove_journals(repository, stanza, label);
    }
    repository.storage().remove_all(found.paths);
}

} // namespace

void remove_leftovers(const Repository& repository,
                      const std::string& stanza,
                      const std::vector<std::string>& labels)
{
    const std::vector<std::string> history = repository::list_history(repository, stanza);
    parallel_for_each(kListers, labels.size(), [&](std::size_t i) {
        check_cancelled();
        remove_beside_summary(
            repository, stanza, labels[i], std::ranges::binary_search(history, labels[i]));
    });
}

} // namespace pgstrata::engine
