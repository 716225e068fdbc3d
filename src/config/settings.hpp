// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace pgstrata::config {

// What one source says about one option, before its value is looked at.
struct Setting {
    enum class Kind : std::uint8_t { value, negated, reset };
    Kind kind = Kind::value;
    std::vector<std::string> texts;
    Source source = Source::command_line;
    std::string origin;
};

// By row of the table and index.
using Settings = std::map<std::pair<const OptionRow*, unsigned>, Setting>;

inline bool may_repeat(const OptionRow& row) noexcept
{
    return row.type == OptionType::list || row.type == OptionType::hash;
}

inline bool is_valid_for(const OptionRow& row, const CommandRow& command) noexcept
{
    return (row.commands & command_bit(command.id)) != 0;
}

} // namespace pgstrata::config
