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
    // As pgBackRest prints it: the decimal is left out when it is zero before rounding.
    const bool has_tenth = (bytes % scale) * 10 / scale != 0;
    return has_tenth ? fmt::format("{:.1f}{}",
                                   static_cast<double>(bytes) / static_cast<double>(scale),
                                   kUnits[unit])
                     : fmt::format("{}{}", bytes / scale, kUnits[unit]);
}

} // namespace pgstrata
