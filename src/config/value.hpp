// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::config {

// All of `text` as a decimal number, a size in bytes ("512m") or a time in milliseconds ("1.5" is
// none).
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;
std::optional<std::int64_t> parse_size(std::string_view text);
std::optional<std::int64_t> parse_time(std::string_view text);

// What a value is parsed for.
struct ValueContext {
    const OptionRow& row;
    std::string name;         // as shown in messages
    std::string_view allowed; // what the row allows for the command at hand
    Source source = Source::built_in;
    std::string origin; // "/etc/pgstrata/pgstrata.conf line 7"
};

// Checks the texts of one option (several for lists and hashes) and takes them apart. Throws
// Error(option_invalid_value). Keys that a hash has twice are added to `warnings`.
Value parse_value(const ValueContext& context,
                  std::vector<std::string> texts,
                  std::vector<std::string>& warnings);

// "y, n" or "1 to 999"; `allowed` is not empty.
std::string list_allowed(const OptionRow& row, std::string_view allowed);
// "allowed values are y, n", "allowed is 1 to 999", or how a value of this type looks.
std::string describe_allowed(const OptionRow& row, std::string_view allowed);

// The value of a default text. References stay good for ever: the table's texts are few and each is
// parsed once.
const Value& built_in_value(const OptionRow& row, std::string_view text);

} // namespace pgstrata::config
