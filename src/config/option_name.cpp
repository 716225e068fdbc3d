// SPDX-License-Identifier: PostgreSQL
#include "config/option_name.hpp"

#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace pgstrata::config {

namespace {

constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

// "repo2-path" as "repo-path" and 2: digits at the end of the part before the first dash.
struct SplitName {
    std::string base;
    std::optional<unsigned> index; // 0 when out of range
};

SplitName split_index(std::string_view name)
{
    const std::size_t end = std::min(name.find('-'), name.size());
    std::size_t begin = end;
    while (begin > 0 && is_digit(name[begin - 1])) {
        --begin;
    }
    if (begin == end || begin == 0) {
        return {.base = std::string(name), .index = {}};
    }
    unsigned index = 0;
    for (std::size_t i = begin; i < end && index <= kMaximumIndex; ++i) {
        index = index * 10 + static_cast<unsigned>(name[i] - '0');
    }
    const bool is_valid = name[begin] != '0' && index <= kMaximumIndex;
    return {.base = std::string(name.substr(0, begin)) + std::string(name.substr(end)),
            .index = is_valid ? index : 0};
}

std::string with_index(std::string_view base, unsigned index)
{
    const std::size_t dash = std::min(base.find('-'), base.size());
    return std::string(base.substr(0, dash)) + std::to_string(index) +
           std::string(base.substr(dash));
}

std::string without_mark(std::string_view old_name)
{
    std::string plain(old_name);
    std::erase(plain, '?');
    return plain;
}

OptionName match_old_name(std::string_view name, const SplitName& split)
{
    for (const OptionRow& row : option_table()) {
        std::string_view names = row.deprecated;
        while (!names.empty()) {
            const std::string_view old_name = next_part(names, ',');
            const bool is_indexed = old_name.find('?') != std::string_view::npos;
            if (is_indexed && split.index.value_or(0) > 0 && without_mark(old_name) == split.base) {
                return {.row = &row, .index = *split.index, .fault = NameFault::none};
            }
            if (!is_indexed && old_name == name) {
                return {.row = &row,
                        .index = row.group == Group::none ? 0U : 1U,
                        .fault = NameFault::none};
            }
        }
    }
    return {};
}

// Letters inserted, dropped, replaced, or swapped with their neighbour.
std::size_t edit_distance(std::string_view left, std::string_view right)
{
    std::vector<std::size_t> before_last(right.size() + 1);
    std::vector<std::size_t> last(right.size() + 1);
    std::vector<std::size_t> row(right.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= left.size(); ++i) {
        before_last.swap(last);
        last.swap(row);
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            const bool is_swap =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if (is_swap) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row.back();
}

std::size_t tolerated_distance(std::string_view word)
{
    return std::clamp<std::size_t>(word.size() / 4, 1, 3);
}

} // namespace

OptionName match_name(std::string_view name)
{
    if (name.size() > kMaximumNameLength) {
        return {};
    }
    const OptionRow* exact = find_option(name);
    if (exact != nullptr && exact->group == Group::none) {
        return {.row = exact, .index = 0, .fault = NameFault::none};
    }
    const SplitName split = split_index(name);
    const OptionRow* indexed = split.index ? find_option(split.base) : nullptr;
    if (indexed != nullptr && indexed->group == Group::none) {
        return {.row = indexed, .index = 0, .fault = NameFault::index_forbidden};
    }
    if (indexed != nullptr) {
        return {.row = indexed,
                .index = *split.index,
                .fault = *split.index == 0 ? NameFault::index_range : NameFault::none};
    }
    const OptionName old = match_old_name(name, split);
    if (old.row == nullptr && exact != nullptr) {
        return {.row = exact, .index = 0, .fault = NameFault::index_missing};
    }
    return old;
}

std::vector<std::string> complete_name(std::string_view prefix)
{
    const SplitName split = split_index(prefix);
    const bool wants_index = split.index.has_value();
    std::vector<std::string> names;
    if (wants_index && *split.index == 0) {
        return names;
    }
    for (const OptionRow& row : option_table()) {
        if (wants_index == (row.group != Group::none) && row.name.starts_with(split.base)) {
            names.push_back(wants_index ? with_index(row.name, *split.index)
                                        : std::string(row.name));
            continue;
        }
        std::string_view old_names = row.deprecated;
        while (!old_names.empty()) {
            const std::string_view old_name = next_part(old_names, ',');
            const bool is_indexed = old_name.find('?') != std::string_view::npos;
            const std::string plain = without_mark(old_name);
            if (is_indexed == wants_index && plain.starts_with(split.base)) {
                names.push_back(is_indexed ? with_index(plain, *split.index) : plain);
                break;
            }
        }
    }
    return names;
}

std::string list_old_names(const OptionRow& row)
{
    std::string list;
    std::string_view names = row.deprecated;
    while (!names.empty()) {
        const std::string_view old_name = next_part(names, ',');
        const std::string plain = without_mark(old_name);
        const std::string name = plain == old_name ? plain : with_index(plain, 1);
        if (name != row.name) {
            list += (list.empty() ? "" : ", ") + name;
        }
    }
    return list;
}

std::string_view group_name(Group group) noexcept
{
    switch (group) {
    case Group::pg:
        return "pg";
    case Group::repo:
        return "repo";
    case Group::none:
        break;
    }
    return "";
}

std::string display_name(const OptionRow& row, unsigned index)
{
    return row.group == Group::none || index == 0 ? std::string(row.name)
                                                  : with_index(row.name, index);
}

std::string nearest_name(std::string_view name)
{
    if (name.size() > kMaximumNameLength) {
        return {};
    }
    const SplitName split = split_index(name);
    const OptionRow* nearest = nullptr;
    std::size_t distance = tolerated_distance(split.base) + 1;
    for (const OptionRow& row : option_table()) {
        const std::size_t candidate =
            row.is_internal ? distance : edit_distance(split.base, row.name);
        if (candidate < distance) {
            nearest = &row;
            distance = candidate;
        }
    }
    if (nearest == nullptr) {
        return {};
    }
    const unsigned index = std::max(split.index.value_or(1), 1U);
    return display_name(*nearest, nearest->group == Group::none ? 0 : index);
}

std::string_view nearest_word(std::string_view wrong, std::string_view words)
{
    std::string_view nearest;
    std::size_t distance = tolerated_distance(wrong) + 1;
    while (wrong.size() <= kMaximumNameLength && !words.empty()) {
        const std::string_view word = next_part(words, '|');
        const std::size_t candidate = edit_distance(wrong, word);
        if (candidate < distance && candidate < word.size()) {
            nearest = word;
            distance = candidate;
        }
    }
    return nearest;
}

std::string did_you_mean(std::string_view name)
{
    return name.empty() ? std::string() : fmt::format("did you mean '{}'?", name);
}

void raise_name_fault(std::string_view name, const OptionName& match)
{
    // What follows the name may be a value that was glued to it, and a secret.
    const std::string quoted(
        name.substr(0, std::min(name.find_first_not_of(kNameCharacters), kMaximumNameLength)));
    switch (match.fault) {
    case NameFault::index_missing:
        throw Error(ErrorCode::option_invalid,
                    fmt::format("option '{}' needs an index", quoted),
                    fmt::format("write '{}' for the first one", display_name(*match.row, 1)));
    case NameFault::index_forbidden:
        throw Error(ErrorCode::option_invalid,
                    fmt::format("option '{}' has an index though it takes none", quoted),
                    fmt::format("write '{}'", match.row->name));
    case NameFault::index_range:
        throw Error(ErrorCode::option_invalid,
                    fmt::format("option '{}' has an index out of range", quoted),
                    fmt::format("indexes go from 1 to {}", kMaximumIndex));
    case NameFault::none:
    case NameFault::unknown:
        break;
    }
    if (name.size() > kMaximumNameLength) {
        throw Error(ErrorCode::option_invalid,
                    fmt::format("option '{}...' has a name longer than {} characters",
                                quoted,
                                kMaximumNameLength));
    }
    throw Error(ErrorCode::option_invalid,
                fmt::format("unknown option '{}'", quoted),
                did_you_mean(nearest_name(name)));
}

} // namespace pgstrata::config
