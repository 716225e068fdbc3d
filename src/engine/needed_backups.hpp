// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

bool contains(const std::vector<std::string>& labels, const std::string& label);

// Whether the first is of the same full as the second.
bool shares_full(const std::string& first, const std::string& second);

// Whether a backup without a summary that nobody is at work on was complete and has lost it: it has
// a manifest, but neither a lease nor a journal as one that died before it was complete, and no
// record as one that is being removed.
bool has_lost_summary(const repository::Repository& repository,
                      const std::string& stanza,
                      const std::string& label);
void warn_of_lost_summary(const std::string& stanza, const std::string& label);

// What others build on is no garbage, whether it has a summary or not: the one rule for all who
// remove what has none.
class NeededBackups {
public:
    // `unknown` are labels of backups that do not say what they need: of those that cannot be read
    // and of those in progress.
    NeededBackups(std::vector<repository::BackupSummary> backups, std::vector<std::string> unknown);
    // Reads the summaries of the stanza. One that cannot be read, for whatever reason, or that is
    // lost makes its backup unknown.
    static NeededBackups read(const repository::Repository& repository, const std::string& stanza);

    // Why the backup has to stay, as "backup LABEL builds on it"; empty when nothing needs it.
    std::string find_need(const std::string& label) const;

private:
    std::vector<repository::BackupSummary> backups_;
    std::vector<std::string> unknown_;
};

} // namespace pgstrata::engine
