// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/repository.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// Removes what would make complete backups look aborted or removed, should they lose their
// summaries: journals, leases of the dead, and records of removals that did not come about. A
// backup that somebody is at work on is passed over.
void remove_leftovers(const repository::Repository& repository,
                      const std::string& stanza,
                      const std::vector<std::string>& labels);

} // namespace pgstrata::engine
