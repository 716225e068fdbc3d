// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata {

std::string to_hex(ByteView bytes); // lower case
// Fills all of `out` from exactly twice as many hex digits of either case; false otherwise.
bool from_hex(std::string_view text, MutableBytes out) noexcept;
bool is_hex(std::string_view text) noexcept;       // one or more of 0-9 a-f A-F
bool is_upper_hex(std::string_view text) noexcept; // one or more of 0-9 A-F

std::string to_base64(ByteView bytes); // standard, with padding
// Decodes standard base64, with or without its padding; nullopt when it is not base64.
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

} // namespace pgstrata
