// SPDX-License-Identifier: PostgreSQL
#include "config/value.hpp"

#include "config/option_name.hpp"
#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <mutex>

namespace pgstrata::config {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t factor;
};

constexpr std::int64_t kSecond = 1000;
constexpr std::array kTimeUnits = {
    Unit{"", kSecond},
    Unit{"ms", 1},
    Unit{"s", kSecond},
    Unit{"m", 60 * kSecond},
    Unit{"h", 3600 * kSecond},
    Unit{"d", 86400 * kSecond},
    Unit{"w", 604800 * kSecond},
    Unit{"y", 365 * 86400 * kSecond},
};
constexpr std::string_view kSizeUnits = "bkmgtp";

std::string lower_case(std::string_view text)
{
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

struct Quantity {
    std::int64_t count = 0;
    std::string unit;
};

std::optional<Quantity> split_unit(std::string_view text)
{
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::optional<std::int64_t> count = parse_integer(text.substr(0, digits));
    if (!count) {
        return std::nullopt;
    }
    return Quantity{.count = *count, .unit = lower_case(text.substr(digits))};
}

std::optional<std::int64_t> multiply(std::int64_t count, std::int64_t factor) noexcept
{
    if (count > std::numeric_limits<std::int64_t>::max() / factor) {
        return std::nullopt;
    }
    return count * factor;
}

std::optional<std::int64_t> parse_number(OptionType type, std::string_view text)
{
    switch (type) {
    case OptionType::size:
        return parse_size(text);
    case OptionType::time:
        return parse_time(text);
    default:
        return parse_integer(text);
    }
}

bool is_number(OptionType type) noexcept
{
    return type == OptionType::integer || type == OptionType::size || type == OptionType::time;
}

[[noreturn]] void raise_value(const ValueContext& context, std::string_view text)
{
    const std::string where =
        context.origin.empty() ? std::string() : fmt::format(" ({})", context.origin);
    std::string hint = describe_allowed(context.row, context.allowed);
    if (context.row.is_secure) {
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("invalid value for option '{}'{}", context.name, where),
                    hint);
    }
    const std::string_view meant =
        is_number(context.row.type) ? std::string_view() : nearest_word(text, context.allowed);
    if (!meant.empty()) {
        hint += "; " + did_you_mean(meant);
    }
    throw Error(
        ErrorCode::option_invalid_value,
        fmt::format(
            "'{}' is not a valid value for option '{}'{}", shown(text), context.name, where),
        hint);
}

bool is_in_range(OptionType type, std::string_view range, std::int64_t number)
{
    const std::string_view bounds = range.substr(1, range.size() - 2);
    const auto dots = bounds.find("..");
    return number >= parse_number(type, bounds.substr(0, dots)) &&
           number <= parse_number(type, bounds.substr(dots + 2));
}

bool is_one_of(OptionType type, std::string_view allowed, std::int64_t number)
{
    while (!allowed.empty()) {
        if (parse_number(type, next_part(allowed, '|')) == number) {
            return true;
        }
    }
    return false;
}

std::int64_t checked_number(const ValueContext& context, std::string_view text)
{
    const OptionType type = context.row.type;
    const std::optional<std::int64_t> number = parse_number(type, text);
    if (!number) {
        raise_value(context, text);
    }
    const std::string_view allowed = context.allowed;
    const bool is_allowed =
        allowed.empty() || (allowed.front() == '[' ? is_in_range(type, allowed, *number)
                                                   : is_one_of(type, allowed, *number));
    if (!is_allowed) {
        raise_value(context, text);
    }
    return *number;
}

std::string checked_path(const ValueContext& context, std::string text)
{
    if (text.front() != '/' || text.find("//") != std::string::npos) {
        raise_value(context, text);
    }
    if (text.size() > 1 && text.back() == '/') {
        text.pop_back();
    }
    return text;
}

// With the code of an option that cannot be, as pgBackRest has it.
[[noreturn]] void raise_no_pair(const ValueContext& context, std::string_view text)
{
    const std::string where =
        context.origin.empty() ? std::string() : fmt::format(" ({})", context.origin);
    const std::string what =
        context.row.is_secure ? std::string() : fmt::format(" '{}'", shown(text));
    throw Error(ErrorCode::option_invalid,
                fmt::format("key/value{} not valid for '{}' option{}", what, context.name, where),
                describe_allowed(context.row, context.allowed));
}

void add_pair(const ValueContext& context,
              const std::string& text,
              Value& value,
              std::vector<std::string>& warnings)
{
    const auto equals = text.find('=');
    if (equals == std::string::npos) {
        raise_no_pair(context, text);
    }
    if (equals == 0) {
        raise_value(context, text);
    }
    std::pair<std::string, std::string> pair(trim(std::string_view(text).substr(0, equals)),
                                             trim(std::string_view(text).substr(equals + 1)));
    const auto same_key =
        std::find_if(value.pairs.begin(), value.pairs.end(), [&](const auto& other) {
            return other.first == pair.first;
        });
    if (same_key == value.pairs.end()) {
        value.pairs.push_back(std::move(pair));
        return;
    }
    warnings.push_back(fmt::format("option '{}' has the key '{}' more than once, the last is used",
                                   context.name,
                                   shown(pair.first)));
    same_key->second = std::move(pair.second);
}

std::string_view how_to_write(OptionType type) noexcept
{
    switch (type) {
    case OptionType::size:
        return ", written like 512MiB";
    case OptionType::time:
        return ", written like 500ms, 90s or 15m";
    default:
        return "";
    }
}

void parse_scalar(const ValueContext& context, Value& value)
{
    std::string& text = value.texts.front();
    switch (context.row.type) {
    case OptionType::boolean:
        if (text != "y" && text != "n") {
            raise_value(context, text);
        }
        value.number = text == "y" ? 1 : 0;
        break;
    case OptionType::integer:
    case OptionType::size:
    case OptionType::time:
        value.number = checked_number(context, text);
        break;
    case OptionType::path:
        text = checked_path(context, text);
        break;
    case OptionType::string_id:
        if (!has_part(context.allowed, '|', text)) {
            raise_value(context, text);
        }
        break;
    case OptionType::string:
    case OptionType::list:
    case OptionType::hash:
        break;
    }
}

} // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept
{
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, fault] = std::from_chars(text.data(), end, number);
    if (text.empty() || fault != std::errc() || stop != end) {
        return std::nullopt;
    }
    return number;
}

std::optional<std::int64_t> parse_size(std::string_view text)
{
    const std::optional<Quantity> quantity = split_unit(text);
    if (!quantity) {
        return std::nullopt;
    }
    const std::string& unit = quantity->unit;
    const std::size_t power = unit.empty() ? 0 : kSizeUnits.find(unit.front());
    if (power == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view tail =
        unit.empty() ? std::string_view() : std::string_view(unit).substr(1);
    if (!tail.empty() && (power == 0 || (tail != "b" && tail != "ib"))) {
        return std::nullopt;
    }
    return multiply(quantity->count, std::int64_t{1} << (10 * power));
}

std::optional<std::int64_t> parse_time(std::string_view text)
{
    const std::optional<Quantity> quantity = split_unit(text);
    if (!quantity) {
        return std::nullopt;
    }
    const auto* unit = std::find_if(kTimeUnits.begin(), kTimeUnits.end(), [&](const Unit& known) {
        return known.name == quantity->unit;
    });
    return unit == kTimeUnits.end() ? std::nullopt : multiply(quantity->count, unit->factor);
}

std::string list_allowed(const OptionRow& row, std::string_view allowed)
{
    if (allowed.front() == '[') {
        const std::string_view bounds = allowed.substr(1, allowed.size() - 2);
        const auto dots = bounds.find("..");
        return fmt::format(
            "{} to {}{}", bounds.substr(0, dots), bounds.substr(dots + 2), how_to_write(row.type));
    }
    std::string words;
    while (!allowed.empty()) {
        words += fmt::format("{}{}", words.empty() ? "" : ", ", next_part(allowed, '|'));
    }
    return words;
}

std::string describe_allowed(const OptionRow& row, std::string_view allowed)
{
    if (!allowed.empty()) {
        return (allowed.front() == '[' ? "allowed is " : "allowed values are ") +
               list_allowed(row, allowed);
    }
    switch (row.type) {
    case OptionType::path:
        return "a path begins with a slash and has no empty part";
    case OptionType::hash:
        return "write it as key=value";
    default:
        return "a value must not be empty";
    }
}

Value parse_value(const ValueContext& context,
                  std::vector<std::string> texts,
                  std::vector<std::string>& warnings)
{
    for (const std::string& text : texts) {
        if (text.empty()) {
            const std::string where =
                context.origin.empty() ? std::string() : fmt::format(" ({})", context.origin);
            throw Error(ErrorCode::option_invalid_value,
                        fmt::format("option '{}' has an empty value{}", context.name, where),
                        "leave the option out for its default");
        }
    }
    Value value;
    value.source = context.source;
    value.origin = context.origin;
    value.texts = std::move(texts);
    if (context.row.type == OptionType::hash) {
        for (const std::string& text : value.texts) {
            add_pair(context, text, value, warnings);
        }
        value.texts.clear();
    } else {
        parse_scalar(context, value);
    }
    return value;
}

const Value& built_in_value(const OptionRow& row, std::string_view text)
{
    static std::mutex mutex;
    static std::map<std::pair<std::string_view, std::string_view>, Value> values;
    const std::scoped_lock lock(mutex);
    const auto key = std::make_pair(row.name, text);
    auto found = values.find(key);
    if (found == values.end()) {
        std::vector<std::string> warnings;
        const std::string_view allowed =
            row.type == OptionType::string_id ? text : std::string_view();
        found = values
                    .emplace(key,
                             parse_value({.row = row,
                                          .name = std::string(row.name),
                                          .allowed = allowed,
                                          .source = Source::built_in,
                                          .origin = {}},
                                         {std::string(text)},
                                         warnings))
                    .first;
    }
    return found->second;
}

} // namespace pgstrata::config
