// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::postgres {

// A position in the WAL stream, in bytes.
struct Lsn {
    std::uint64_t value = 0;
    auto operator<=>(const Lsn&) const = default;
};

std::string to_string(Lsn lsn); // "0/2000028"
// Two hex numbers of 1 to 8 digits around a slash, either case.
std::optional<Lsn> parse_lsn(std::string_view text) noexcept;

using Timeline = std::uint32_t;

} // namespace pgstrata::postgres
