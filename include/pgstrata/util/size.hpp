// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <string>

namespace pgstrata {

// "999B", "1.5KB", "25.7MB", "1GB": powers of 1024, one decimal at most and none when it is zero.
std::string format_size(std::uint64_t bytes);

} // namespace pgstrata
