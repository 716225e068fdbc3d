// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/option_table.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Names as users write them ("repo2-path", the old "retention-full") and rows of the table.
namespace pgstrata::config {

inline constexpr unsigned kMaximumIndex = 256;
inline constexpr std::size_t kMaximumNameLength = 64;

enum class NameFault : std::uint8_t { none, unknown, index_missing, index_forbidden, index_range };

struct OptionName {
    const OptionRow* row = nullptr; // set unless the name is unknown
    unsigned index = 0;
    NameFault fault = NameFault::unknown;
};

// The whole name only, old names included.
OptionName match_name(std::string_view name);
// The names that begin with `prefix`, each once, with the index of the prefix put in.
std::vector<std::string> complete_name(std::string_view prefix);

// "repo2-path"; the plain name for an option without an index.
std::string display_name(const OptionRow& row, unsigned index);
// "db-path, db1-path": the old names but the option's own, with the index 1.
std::string list_old_names(const OptionRow& row);
std::string_view group_name(Group group) noexcept;
// The name that is meant by a mistyped one; empty when none is near.
std::string nearest_name(std::string_view name);
// The nearest of words separated by '|'.
std::string_view nearest_word(std::string_view wrong, std::string_view words);
// "did you mean 'x'?", or nothing for an empty name.
std::string did_you_mean(std::string_view name);

// Why a name was not matched and what to try, for Error(option_invalid).
[[noreturn]] void raise_name_fault(std::string_view name, const OptionName& match);

} // namespace pgstrata::config
