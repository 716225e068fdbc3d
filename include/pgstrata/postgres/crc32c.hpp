// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"

namespace pgstrata::postgres {

// CRC-32C (Castagnoli) as PostgreSQL computes it: initial value and final xor all ones. `crc`
// continues an earlier result.
std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0) noexcept;

} // namespace pgstrata::postgres
