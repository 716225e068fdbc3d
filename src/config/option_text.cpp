// SPDX-License-Identifier: PostgreSQL
#include "config/option_text.hpp"

#include <algorithm>

namespace pgstrata::config {

namespace {

constexpr std::string_view kBlank = " \t\r\n\v\f";
constexpr std::string_view kArrow = "=>";
constexpr std::string_view kElse = ",else=";
constexpr std::size_t kShownLength = 128;

} // namespace

std::string_view trim(std::string_view text) noexcept
{
    const auto begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view next_part(std::string_view& rest, char separator) noexcept
{
    const auto end = rest.find(separator);
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return trim(part);
}

bool has_part(std::string_view parts, char separator, std::string_view wanted) noexcept
{
    while (!parts.empty()) {
        if (next_part(parts, separator) == wanted) {
            return true;
        }
    }
    return false;
}

std::string list_words(std::string_view words)
{
    std::string text;
    while (!words.empty()) {
        const std::string_view word = next_part(words, '|');
        if (!text.empty()) {
            text += words.empty() ? " or " : ", ";
        }
        text += word;
    }
    return text;
}

std::string shown(std::string_view text)
{
    std::string quoted(text.substr(0, kShownLength));
    std::replace_if(
        quoted.begin(), quoted.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
    return text.size() > kShownLength ? quoted + "..." : quoted;
}

std::string_view text_for_command(std::string_view text, std::string_view command) noexcept
{
    const auto brace = text.find('{');
    if (brace == std::string_view::npos) {
        return text;
    }
    std::string_view variants = text.substr(brace + 1, text.rfind('}') - brace - 1);
    while (!variants.empty()) {
        std::string_view variant = next_part(variants, ';');
        if (next_part(variant, ':') == command) {
            return trim(variant);
        }
    }
    return trim(text.substr(0, brace));
}

bool depends_on_key(std::string_view text) noexcept
{
    return text.find(kArrow) != std::string_view::npos;
}

std::string_view text_for_key(std::string_view text, std::string_view key) noexcept
{
    while (!text.empty()) {
        const std::string_view part = next_part(text, ';');
        const auto arrow = part.find(kArrow);
        if (part.substr(0, arrow) == key) {
            return part.substr(arrow + kArrow.size());
        }
    }
    return {};
}

Dependency parse_dependency(std::string_view text) noexcept
{
    Dependency dependency;
    if (const auto other = text.find(kElse); other != std::string_view::npos) {
        dependency.otherwise = text.substr(other + kElse.size());
        text = text.substr(0, other);
    }
    dependency.option = next_part(text, '=');
    dependency.values = text;
    return dependency;
}

} // namespace pgstrata::config
