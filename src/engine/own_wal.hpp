// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/wal_archive.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgstrata::engine {

// What of the ranges the backup does not hold itself, in its pg_wal/. Throws what reading its
// manifest throws.
std::vector<repository::WalRange> without_own_wal(const repository::Repository& repository,
                                                  const std::string& stanza,
                                                  std::uint32_t wal_segment_size,
                                                  const std::string& label,
                                                  const std::vector<repository::WalRange>& ranges);

} // namespace pgstrata::engine
