// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/retention.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgstrata::engine {

// A backup without a summary that nobody is at work on.
struct DeadBackup {
    std::string label;
    std::optional<unsigned> last_turn; // of its lease, before its holder was found dead
};

struct ExpireCatalog {
    repository::RetentionCatalog catalog;
    std::vector<DeadBackup> dead;    // ascending by label
    std::vector<std::string> labels; // all that were there
};

// Throws when anything but single summaries cannot be read, and Error(format) when backups are of
// another cluster than the archive they point to.
ExpireCatalog read_expire_catalog(const repository::Repository& repository,
                                  const std::string& stanza);

} // namespace pgstrata::engine
