// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string>
#include <string_view>

namespace pgstrata {

// Whether a terminal takes none of the bytes for a command: UTF-8 without control characters but
// for the ends of lines and tabs.
bool is_printable(std::string_view text) noexcept;
// The text with every other byte as "\x1B".
std::string make_printable(std::string_view text);
// The same for what is to stay on its line: ends of lines and tabs are shown as bytes too.
std::string make_one_line(std::string_view text);

} // namespace pgstrata
