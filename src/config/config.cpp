// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/config/config.hpp"

#include "config/option_defaults.hpp"
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/settings.hpp"
#include "config/value.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>

namespace pgstrata::config {

namespace {

const OptionRow& row_of(std::string_view option)
{
    const OptionRow* row = find_option(option);
    if (row == nullptr) {
        raise(ErrorCode::assertion, "the option table has no '{}'", option);
    }
    return *row;
}

std::string quote_value(std::string_view value)
{
    std::string text = shown(value);
    return text.find(' ') == std::string::npos ? text : "\"" + text + "\"";
}

std::string show_value(const OptionRow& row, unsigned index, const Value& value)
{
    const std::string name = display_name(row, index);
    if (row.is_secure || (row.is_redacted && !value.texts.empty())) {
        return fmt::format(" --{}=<redacted>", name);
    }
    if (value.texts.empty() && value.pairs.empty()) {
        return " --no-" + name;
    }
    if (row.type == OptionType::boolean) {
        return fmt::format(" --{}{}{}",
                           value.number == 0 && row.allows_no ? "no-" : "",
                           name,
                           value.number == 0 && !row.allows_no ? "=n" : "");
    }
    std::string shown_values;
    for (const std::string& text : value.texts) {
        shown_values += fmt::format(" --{}={}", name, quote_value(text));
    }
    for (const auto& [key, text] : value.pairs) {
        const std::string shown_text = row.is_redacted ? "<redacted>" : text;
        shown_values +=
            fmt::format(" --{}={}", name, quote_value(fmt::format("{}={}", key, shown_text)));
    }
    return shown_values;
}

bool is_before(const OptionRow* row, unsigned index, const OptionRow* other, unsigned other_index)
{
    return std::make_pair(row, index) < std::make_pair(other, other_index);
}

} // namespace

unsigned Config::default_repo() const
{
    return has("repo") ? static_cast<unsigned>(number("repo")) : repo_indexes_.front();
}

unsigned Config::default_pg() const
{
    return has("pg") ? static_cast<unsigned>(number("pg")) : pg_indexes_.front();
}

bool Config::has(std::string_view option, unsigned index) const
{
    const Value* value = find(option, index);
    return value != nullptr && !(value->texts.empty() && value->pairs.empty());
}

Source Config::source(std::string_view option, unsigned index) const
{
    const Value* value = find(option, index);
    return value == nullptr ? Source::built_in : value->source;
}

bool Config::flag(std::string_view option, unsigned index) const
{
    return number(option, index) != 0;
}

std::int64_t Config::number(std::string_view option, unsigned index) const
{
    const Value* value = find(option, index);
    return value == nullptr ? 0 : value->number;
}

const std::string& Config::text(std::string_view option, unsigned index) const
{
    static const std::string kNoText;
    const std::vector<std::string>& texts = list(option, index);
    return texts.empty() ? kNoText : texts.front();
}

const std::vector<std::string>& Config::list(std::string_view option, unsigned index) const
{
    static const std::vector<std::string> kNoTexts;
    const Value* value = find(option, index);
    return value == nullptr ? kNoTexts : value->texts;
}

const std::vector<std::pair<std::string, std::string>>& Config::pairs(std::string_view option,
                                                                      unsigned index) const
{
    static const std::vector<std::pair<std::string, std::string>> kNoPairs;
    const Value* value = find(option, index);
    return value == nullptr ? kNoPairs : value->pairs;
}

std::string Config::non_default_options() const
{
    std::string options;
    for (const Entry& entry : values_) {
        if (entry.value.source != Source::built_in) {
            options += show_value(*entry.row, entry.index, entry.value);
        }
    }
    return options;
}

const Value* Config::find(std::string_view option, unsigned index) const
{
    const OptionRow& row = row_of(option);
    if (row.group != Group::none && index == 0) {
        index = row.group == Group::repo ? default_repo() : default_pg();
    }
    return find(row, index);
}

const Value* Config::find(const OptionRow& row, unsigned index) const
{
    if (const Value* value = find_set(row, index)) {
        return value;
    }
    const std::string_view text = default_text(row, index);
    return text.empty() ? nullptr : &built_in_value(row, text);
}

const Value* Config::find_set(const OptionRow& row, unsigned index) const
{
    const auto place = std::lower_bound(
        values_.begin(), values_.end(), index, [&](const Entry& entry, unsigned wanted) {
            return is_before(entry.row, entry.index, &row, wanted);
        });
    const bool is_there = place != values_.end() && place->row == &row && place->index == index;
    return is_there ? &place->value : nullptr;
}

void Config::set(const OptionRow& row, unsigned index, Value value)
{
    const auto place = std::lower_bound(
        values_.begin(), values_.end(), index, [&](const Entry& entry, unsigned wanted) {
            return is_before(entry.row, entry.index, &row, wanted);
        });
    if (place != values_.end() && place->row == &row && place->index == index) {
        place->value = std::move(value);
    } else {
        values_.insert(place, {.row = &row, .index = index, .value = std::move(value)});
    }
}

std::string_view Config::default_text(const OptionRow& row, unsigned index) const
{
    if (!is_valid_for(row, *command_)) {
        return {};
    }
    const std::string_view depends = text_for_command(row.depends, command_->name);
    const Dependency dependency = parse_dependency(depends);
    if (!depends.empty() && !is_met(depends, row.group, index)) {
        return dependency.otherwise;
    }
    const std::string_view text = default_text_for(row, *command_, is_pgbackrest_link_);
    if (!depends_on_key(text)) {
        return text;
    }
    const OptionRow& key = row_of(dependency.option);
    const Value* value = find(key, key.group == Group::none ? 0 : index);
    return value == nullptr ? std::string_view() : text_for_key(text, value->texts.front());
}

bool Config::is_met(std::string_view depends, Group group, unsigned index) const
{
    const Dependency dependency = parse_dependency(depends);
    const OptionRow& row = row_of(dependency.option);
    const Value* value = find(row, row.group == group ? index : 0);
    if (value == nullptr || value->texts.empty()) {
        return false;
    }
    return dependency.values.empty() || has_part(dependency.values, '|', value->texts.front());
}

void check_root_allowed(const Config& config, unsigned uid)
{
    const Command command = config.command().id;
    if (uid != 0 || command == Command::help || command == Command::version ||
        config.flag("allow-root")) {
        return;
    }
    throw Error(ErrorCode::option_invalid,
                fmt::format("command '{}' must not run as root", config.command().name),
                "run it as the operating system user of PostgreSQL, or set option 'allow-root'");
}

} // namespace pgstrata::config
