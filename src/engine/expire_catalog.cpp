// SPDX-License-Identifier: PostgreSQL
#include "engine/expire_catalog.hpp"

#include "engine/needed_backups.hpp"

#include "pgstrata/engine/abandoned.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace {

using repository::BackupSummary;

class CatalogReader {
public:
    CatalogReader(const repository::Repository& repository, const std::string& stanza)
        : repository_(repository), stanza_(stanza)
    {
    }

    ExpireCatalog read()
    {
        for (const repository::Cluster& cluster : repository::list_clusters(repository_, stanza_)) {
            found_.catalog.archives.push_back(cluster.id);
            clusters_.push_back(cluster);
        }
        found_.labels = repository::list_labels(repository_, stanza_);
        for (const std::string& label : found_.labels) {
            check_cancelled();
            read_backup(label);
        }
        return std::move(found_);
    }

private:
    bool has_summary(const std::string& label) const
    {
        return repository_.storage().info(repository::summary_path(stanza_, label)).has_value();
    }

    void read_backup(const std::string& label)
    {
        if (!has_summary(label)) {
            const auto last_turn = repository::find_lease_turn(repository_, stanza_, label);
            if (is_in_progress(repository_, stanza_, label)) {
                found_.catalog.in_progress.push_back(label);
                return;
            }
            // It may have been completed, and its lease removed, between the two looks.
            if (!has_summary(label)) {
                if (has_lost_summary(repository_, stanza_, label)) {
                    warn_of_lost_summary(stanza_, label);
                    found_.catalog.unreadable.push_back(label);
                    return;
                }
                found_.dead.push_back({label, last_turn});
                return;
            }
        }
        try {
            auto summary = repository::read_summary(repository_, stanza_, label);
            if (!summary) {
                raise(ErrorCode::format, "its summary or one of its notes vanished");
            }
            check_cluster(*summary);
            found_.catalog.backups.push_back(std::move(*summary));
        } catch (const Error& error) {
            if (!repository::is_unusable(error.code()) || is_mismatch_) {
                throw;
            }
            log::warn("backup {} cannot be read, it is kept with all of its family: {}",
                      label,
                      error.what());
            found_.catalog.unreadable.push_back(label);
        }
    }

    void check_cluster(const BackupSummary& summary)
    {
        const auto cluster =
            std::ranges::find(clusters_, summary.archive_id, &repository::Cluster::id);
        if (cluster != clusters_.end() && cluster->system_identifier != summary.system_identifier) {
            is_mismatch_ = true;
            throw Error(ErrorCode::format,
                        fmt::format("backup {} is of another cluster than the archive '{}'",
                                    summary.label,
                                    repository::to_string(cluster->id)),
                        "has this repository got parts of another one?");
        }
    }

    const repository::Repository& repository_;
    const std::string& stanza_;
    std::vector<repository::Cluster> clusters_;
    ExpireCatalog found_;
    bool is_mismatch_ = false;
};

} // namespace

ExpireCatalog read_expire_catalog(const repository::Repository& repository,
                                  const std::string& stanza)
{
    return CatalogReader(repository, stanza).read();
}

} // namespace pgstrata::engine
