// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// Whether the first is of the same full as the second.
bool shares_full(const std::string& first, const std::string& second);

// What others build on is no garbage, whether it has a summary or not: the one rule for all who
// remove what has none.
class NeededBackups {
public:
    // `unknown` are labels of backups that do not say what they need: of those that cannot be read
    // and of those in progress.
    NeededBackups(std::vector<repository::BackupSummary> backups, std::vector<std::string> unknown);
    // Reads the summaries of the stanza. One that cannot be read, for whatever reason, is unknown.
    static NeededBackups read(const repository::Repository& repository, const std::string& stanza);

    // Why the backup has to stay, as "backup LABEL builds on it"; empty when nothing needs it.
    std::string find_need(const std::string& label) const;

private:
    std::vector<repository::BackupSummary> backups_;
    std::vector<std::string> unknown_;
};

} // namespace pgstrata::engine
