// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/printable.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace pgstrata {

namespace {

constexpr unsigned kDelete = 0x7f;
constexpr unsigned kAsciiEnd = 0x80;
constexpr unsigned kContinuation = 0x80; // 10xxxxxx
constexpr unsigned kContinuationMask = 0xc0;
constexpr unsigned kContinuationBits = 6;
constexpr std::uint32_t kControlsEnd = 0xa0; // of the controls behind ASCII
constexpr std::uint32_t kSurrogates = 0xd800;
constexpr std::uint32_t kSurrogatesEnd = 0xe000;
constexpr std::uint32_t kMost = 0x10ffff;

unsigned byte_at(std::string_view text, std::size_t at) noexcept
{
    return static_cast<unsigned char>(text[at]);
}

// A character of two to four bytes by its first one: how many, its bits of the code point, and the
// least that so many bytes may stand for.
struct Lead {
    std::size_t size = 0;
    std::uint32_t bits = 0;
    std::uint32_t least = 0;
};

Lead read_lead(unsigned byte) noexcept
{
    if (byte >= 0xc0 && byte < 0xe0) {
        return {2, byte & 0x1fU, kControlsEnd};
    }
    if (byte >= 0xe0 && byte < 0xf0) {
        return {3, byte & 0x0fU, 0x800};
    }
    return byte >= 0xf0 && byte < 0xf8 ? Lead{4, byte & 0x07U, 0x10000} : Lead{};
}

// The bytes of the character that `text` begins with; 0 when it is none that may be shown.
std::size_t character_size(std::string_view text) noexcept
{
    const unsigned first = byte_at(text, 0);
    if (first < kAsciiEnd) {
        const bool is_shown = first >= ' ' || first == '\n' || first == '\t';
        return is_shown && first != kDelete ? 1 : 0;
    }
    const Lead lead = read_lead(first);
    if (lead.size == 0 || text.size() < lead.size) {
        return 0;
    }
    std::uint32_t point = lead.bits;
    for (std::size_t i = 1; i < lead.size; ++i) {
        const unsigned byte = byte_at(text, i);
        if ((byte & kContinuationMask) != kContinuation) {
            return 0;
        }
        point = (point << kContinuationBits) | (byte & ~kContinuationMask);
    }
    const bool is_character =
        point >= lead.least && point <= kMost && (point < kSurrogates || point >= kSurrogatesEnd);
    return is_character ? lead.size : 0;
}

} // namespace

bool is_printable(std::string_view text) noexcept
{
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

std::string make_printable(std::string_view text)
{
    std::string shown;
    shown.reserve(text.size());
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) {
            shown += fmt::format("\\x{:02X}", byte_at(text, 0));
            text.remove_prefix(1);
            continue;
        }
        shown += text.substr(0, size);
        text.remove_prefix(size);
    }
    return shown;
}

std::string make_one_line(std::string_view text)
{
    std::string line;
    for (const char symbol : make_printable(text)) {
        if (symbol == '\n' || symbol == '\t') {
            line += fmt::format("\\x{:02X}", static_cast<unsigned>(symbol));
        } else {
            line += symbol;
        }
    }
    return line;
}

} // namespace pgstrata
