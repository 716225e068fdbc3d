// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/site.hpp"

#include <string>
#include <vector>

namespace pgstrata::test {

// One line a table of the database: its name and a digest of its rows. Unlogged tables and
// sequences do not count. Writes into the catalog of the database.
std::string fingerprint(const Cluster& cluster, const std::string& database = "postgres");

// A site with a second repository. Backups go to the first one; a full backup in the second tells
// what the same moment looks like without any chain. Autovacuum is off, so that a cluster that is
// left alone is idle.
class Chain {
public:
    explicit Chain(SiteOptions options = {});

    Site& site() { return site_; }
    const Site& site() const { return site_; }
    Cluster& cluster() { return site_.cluster(); }

    // A backup into the first repository with what it tells on its way.
    ProcessResult backup(const std::vector<std::string>& arguments) const;
    // The same; throws unless it succeeds, and returns the label.
    std::string take(const std::vector<std::string>& arguments) const;
    // As they are in `info`, oldest first.
    nlohmann::json backups() const;
    std::string newest() const;
    // backup.json of a backup, the newest when no label is given.
    nlohmann::json summary(const std::string& label = {}) const;

    // A restore of one backup that can be started.
    Cluster restore(const std::string& label = {}, unsigned repository = 1);
    // What a restore with these arguments is given.
    std::vector<std::string> restore_arguments(const std::string& label,
                                               unsigned repository,
                                               const std::string& target) const;
    // Restores the newest backup and a full one that is made now, and compares their files. The
    // cluster has been idle since the newest backup. Where that was made with WAL summaries, pages
    // may differ in what the server changes without WAL and can do without.
    std::vector<std::string>
    differences_from_full(const std::vector<std::string>& full_options = {});

private:
    TemporaryDirectory second_;
    Site site_;
};

// Goes on when all pages of the cluster are on the disk.
void settle(const Cluster& cluster);

} // namespace pgstrata::test
