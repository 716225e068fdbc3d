// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/command/info_report.hpp"

namespace pgstrata::command {

// What the records of verify say of the packs of these backups, ascending by label; nothing when
// there are no records.
std::optional<InfoVerified> read_verified(const repository::Repository& repository,
                                          const std::string& stanza,
                                          const std::vector<repository::BackupSummary>& backups);

} // namespace pgstrata::command
