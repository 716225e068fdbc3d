// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"

namespace pgstrata::engine {

// What info shows of a backup, as far as its manifest tells.
repository::BackupSummary summarize(const repository::Manifest& manifest);

} // namespace pgstrata::engine
