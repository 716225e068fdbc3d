// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace pgstrata::test {

using Names = std::vector<std::string>;

// The name of a segment of 16 MiB, below number 256, of timeline 1.
inline std::string segment(unsigned number)
{
    return fmt::format("0000000100000000000000{:02X}", number);
}

} // namespace pgstrata::test
