// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/size.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace pgstrata {

std::string format_size(std::uint64_t bytes)
{
    constexpr std::array<std::string_view, 3> kUnits = {"KB", "MB", "GB"};
    if (bytes < 1024) {
        return fmt::format("{}B", bytes);
    }
    std::size_t unit = 0;
    std::uint64_t scale = 1024;
    while (unit + 1 < kUnits.size() && bytes >= scale * 1024) {
        scale *= 1024;
        ++unit;
    }
    const std::uint64_t whole = bytes / scale;
    const std::uint64_t tenth = (bytes % scale) * 10 / scale;
    return tenth == 0 ? fmt::format("{}{}", whole, kUnits[unit])
                      : fmt::format("{}.{}{}", whole, tenth, kUnits[unit]);
}

} // namespace pgstrata
