// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/lsn.hpp"

#include <fmt/format.h>

#include <charconv>

namespace pgstrata::postgres {

namespace {

std::optional<std::uint32_t> parse_half(std::string_view text) noexcept
{
    constexpr std::size_t kMaxDigits = 8;
    if (text.empty() || text.size() > kMaxDigits) {
        return std::nullopt;
    }
    std::uint32_t value = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, 16);
    if (result.ec != std::errc{} || result.ptr != end) {
        return std::nullopt;
    }
    return value;
}

} // namespace

std::string to_string(Lsn lsn)
{
    return fmt::format("{:X}/{:X}", lsn.value >> 32U, lsn.value & 0xFFFFFFFFU);
}

std::optional<Lsn> parse_lsn(std::string_view text) noexcept
{
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto high = parse_half(text.substr(0, slash));
    const auto low = parse_half(text.substr(slash + 1));
    if (!high || !low) {
        return std::nullopt;
    }
    return Lsn{(std::uint64_t{*high} << 32U) | *low};
}

} // namespace pgstrata::postgres
