// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_text.hpp"

#include "pgstrata/util/hex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace pgstrata::storage {

namespace {

constexpr std::size_t kQuotableSize = 300;
constexpr std::int64_t kMicroseconds = 1'000'000;

std::optional<UnixSeconds> parse_utc(const std::string& text)
{
    const auto time = parse_timestamp_microseconds(text);
    return time ? std::optional(*time / kMicroseconds) : std::nullopt;
}

} // namespace

std::optional<UnixSeconds> parse_iso_time(std::string_view text)
{
    constexpr std::size_t kTimeAt = 10;
    if (text.size() <= kTimeAt || text[kTimeAt] != 'T') {
        return std::nullopt;
    }
    std::string plain(text);
    plain[kTimeAt] = ' ';
    if (plain.back() == 'Z') {
        plain.replace(plain.size() - 1, 1, "+00");
    }
    return parse_utc(plain);
}

std::optional<UnixSeconds> parse_http_time(std::string_view text)
{
    constexpr std::string_view kShape = "Sat, 21 Nov 2026 08:17:14 GMT";
    constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != kShape.size() || !text.ends_with(" GMT")) {
        return std::nullopt;
    }
    const std::size_t month = kMonths.find(text.substr(8, 3));
    if (month == std::string_view::npos || month % 3 != 0) {
        return std::nullopt;
    }
    return parse_utc(fmt::format("{}-{:02}-{} {}+00",
                                 text.substr(12, 4),
                                 month / 3 + 1,
                                 text.substr(5, 2),
                                 text.substr(17, 8)));
}

std::optional<std::string> url_decode(std::string_view text)
{
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            result += text[at] == '+' ? ' ' : text[at];
            continue;
        }
        std::array<std::byte, 1> byte{};
        if (!from_hex(text.substr(std::min(at + 1, text.size()), 2), byte)) {
            return std::nullopt;
        }
        result += std::to_integer<char>(byte[0]);
        at += 2;
    }
    return result;
}

std::optional<std::uint64_t> parse_number(std::string_view text)
{
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = problem == std::errc() && end == text.data() + text.size();
    return is_whole ? std::optional(value) : std::nullopt;
}

std::optional<std::uint64_t> parse_content_range(std::string_view text)
{
    const std::size_t slash = text.find('/');
    if (!text.starts_with("bytes ") || slash == std::string_view::npos) {
        return std::nullopt;
    }
    return parse_number(text.substr(slash + 1));
}

std::optional<std::uint64_t> parse_retry_after(std::string_view text, UnixSeconds now)
{
    constexpr std::uint64_t kMilliseconds = 1000;
    constexpr std::uint64_t kLongest = 86'400;
    if (const auto seconds = parse_number(text)) {
        return std::min(*seconds, kLongest) * kMilliseconds;
    }
    if (const auto time = parse_http_time(text)) {
        const auto seconds = static_cast<std::uint64_t>(std::max<UnixSeconds>(*time - now, 0));
        return std::min(seconds, kLongest) * kMilliseconds;
    }
    return std::nullopt;
}

std::string quotable(std::string_view text)
{
    std::string result(text.substr(0, kQuotableSize));
    for (char& c : result) {
        c = (c >= 0 && c < ' ') || c == 0x7f ? ' ' : c;
    }
    return result;
}

} // namespace pgstrata::storage
