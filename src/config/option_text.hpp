// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string>
#include <string_view>

// The small grammar of default_value, allowed and depends, described at OptionRow.
namespace pgstrata::config {

std::string_view trim(std::string_view text) noexcept;
// Takes the part before the next `separator` (or the end) off `rest`, trimmed.
std::string_view next_part(std::string_view& rest, char separator) noexcept;
bool has_part(std::string_view parts, char separator, std::string_view wanted) noexcept;

// "a|b|c" as a sentence lists it: "a, b or c".
std::string list_words(std::string_view words);

// Outside text as a message may quote it: bounded and without control characters.
std::string shown(std::string_view text);

// What "BASE {COMMAND:TEXT; ...}" says for a command.
std::string_view text_for_command(std::string_view text, std::string_view command) noexcept;
bool depends_on_key(std::string_view text) noexcept;
// What "KEY=>TEXT; ..." says for a key; empty when it says nothing.
std::string_view text_for_key(std::string_view text, std::string_view key) noexcept;

// "OPTION[=VALUE|VALUE][,else=TEXT]"
struct Dependency {
    std::string_view option;
    std::string_view values; // empty: any value will do
    std::string_view otherwise;
};
Dependency parse_dependency(std::string_view text) noexcept;

} // namespace pgstrata::config
