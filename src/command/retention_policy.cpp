// SPDX-License-Identifier: PostgreSQL
#include "command/retention_policy.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace pgstrata::command {

namespace {

constexpr std::uint64_t kMost = 9999999; // of a number

struct Item {
    std::string_view name;
    std::uint64_t number = 0;
    std::string_view unit;
};

[[noreturn]] void
refuse(std::string_view text, const std::string& option, std::string_view why, std::string hint)
{
    throw Error(ErrorCode::option_invalid_value,
                fmt::format("'{}' is not valid for '{}' option: {}", text, option, why),
                std::move(hint));
}

std::optional<Item> parse_item(std::string_view text)
{
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || !is_schedule_name(text.substr(0, equals))) {
        return std::nullopt;
    }
    Item item{text.substr(0, equals), 0, {}};
    const std::string_view value = text.substr(equals + 1);
    const auto [end, failure] =
        std::from_chars(value.data(), value.data() + value.size(), item.number);
    if (failure != std::errc() || item.number > kMost) {
        return std::nullopt;
    }
    item.unit = value.substr(static_cast<std::size_t>(end - value.data()));
    return item;
}

// The items between commas. Each name comes once.
std::vector<Item>
parse_items(std::string_view text, const std::string& option, const std::string& hint)
{
    std::vector<Item> items;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        const std::string_view part = text.substr(begin, end - begin);
        const auto item = parse_item(part);
        if (!item) {
            refuse(text, option, fmt::format("'{}' cannot be understood", part), hint);
        }
        if (std::ranges::find(items, item->name, &Item::name) != items.end()) {
            refuse(text, option, fmt::format("'{}' is there twice", item->name), hint);
        }
        items.push_back(*item);
        begin = end + 1;
    }
    return items;
}

// nullopt for an unknown unit.
std::optional<std::uint64_t> seconds_of(std::string_view unit)
{
    constexpr std::array<std::pair<std::string_view, std::uint64_t>, 6> kUnits = {
        {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}, {"y", 31536000}}};
    const auto* const found =
        std::ranges::find(kUnits, unit, &std::pair<std::string_view, std::uint64_t>::first);
    return found == kUnits.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint64_t>
number_of(const config::Config& config, std::string_view option, unsigned index)
{
    return config.has(option, index)
               ? std::optional(static_cast<std::uint64_t>(config.number(option, index)))
               : std::nullopt;
}

repository::BackupType archive_type(const std::string& word)
{
    using repository::BackupType;
    return word == "diff" ? BackupType::diff : word == "incr" ? BackupType::incr : BackupType::full;
}

void add_classic_rules(const config::Config& config,
                       unsigned index,
                       repository::RetentionPolicy& policy)
{
    policy.full = number_of(config, "repo-retention-full", index);
    policy.diff = number_of(config, "repo-retention-diff", index);
    policy.archive = number_of(config, "repo-retention-archive", index);
    policy.history = number_of(config, "repo-retention-history", index);
    if (config.has("repo-retention-full-type", index) &&
        config.text("repo-retention-full-type", index) == "time") {
        policy.full_type = repository::FullRetention::days;
    }
    if (config.has("repo-retention-archive-type", index)) {
        policy.archive_type = archive_type(config.text("repo-retention-archive-type", index));
    }
}

} // namespace

bool is_schedule_name(std::string_view text)
{
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

repository::KeepCounts parse_keep_counts(std::string_view text, const std::string& option)
{
    const std::string hint = "it looks like daily=7,weekly=4,monthly=12; hourly, daily, weekly, "
                             "monthly and yearly are known";
    repository::KeepCounts counts;
    const std::array<std::pair<std::string_view, std::uint64_t*>, 5> names = {
        {{"hourly", &counts.hourly},
         {"daily", &counts.daily},
         {"weekly", &counts.weekly},
         {"monthly", &counts.monthly},
         {"yearly", &counts.yearly}}};
    for (const Item& item : parse_items(text, option, hint)) {
        const auto* const found = std::ranges::find(
            names, item.name, &std::pair<std::string_view, std::uint64_t*>::first);
        if (found == names.end() || !item.unit.empty()) {
            refuse(text, option, fmt::format("'{}' cannot be understood", item.name), hint);
        }
        *found->second = item.number;
    }
    if (std::ranges::all_of(names, [](const auto& name) { return *name.second == 0; })) {
        refuse(text, option, "it would keep nothing", hint);
    }
    return counts;
}

std::map<std::string, std::uint64_t> parse_schedules(std::string_view text,
                                                     const std::string& option)
{
    const std::string hint =
        "it looks like daily=7d,weekly=90d,monthly=1y: a name and a time in s, m, h, d, w or y";
    std::map<std::string, std::uint64_t> schedules;
    for (const Item& item : parse_items(text, option, hint)) {
        const auto unit = seconds_of(item.unit);
        if (!unit || item.number == 0) {
            refuse(text, option, fmt::format("'{}' has no time", item.name), hint);
        }
        schedules[std::string(item.name)] = item.number * *unit;
    }
    return schedules;
}

std::uint64_t seconds_of(const config::Config& config, std::string_view option, unsigned index)
{
    constexpr std::int64_t kMilliseconds = 1000; // in a second
    return static_cast<std::uint64_t>((config.number(option, index) + kMilliseconds - 1) /
                                      kMilliseconds);
}

repository::RetentionPolicy retention_policy(const config::Config& config, unsigned index)
{
    const auto name = [&](std::string_view rest) { return fmt::format("repo{}-{}", index, rest); };
    repository::RetentionPolicy policy;
    add_classic_rules(config, index, policy);
    if (config.has("repo-retention-keep", index)) {
        policy.keep =
            parse_keep_counts(config.text("repo-retention-keep", index), name("retention-keep"));
    }
    if (config.has("repo-retention-schedule", index)) {
        policy.schedules = parse_schedules(config.text("repo-retention-schedule", index),
                                           name("retention-schedule"));
    }
    policy.manual = number_of(config, "repo-retention-manual", index);
    if (config.has("repo-retention-pitr", index)) {
        policy.pitr = seconds_of(config, "repo-retention-pitr", index);
    }
    return policy;
}

} // namespace pgstrata::command
