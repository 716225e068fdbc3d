// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"

namespace pgstrata::postgres {

// crc32c() for processors without an instruction for it.
std::uint32_t crc32c_by_table(ByteView bytes, std::uint32_t crc) noexcept;

} // namespace pgstrata::postgres
