// SPDX-License-Identifier: PostgreSQL
#include "config/config_builder.hpp"
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/value.hpp"

#include "pgstrata/util/error.hpp"

namespace pgstrata::config {

void ConfigBuilder::check_support()
{
    for (const Config::Entry& entry : config_.values_) {
        check_support_of(*entry.row, entry.index, entry.value);
    }
    for (const Config::Entry& entry : config_.values_) {
        note_tuning(*entry.row, entry.index, entry.value);
    }
}

void ConfigBuilder::check_support_of(const OptionRow& row, unsigned index, const Value& value) const
{
    if (row.support != Support::refused) {
        return;
    }
    // The option that this one depends on, even by its default, says better what is missing.
    const std::string_view depends = text_for_command(row.depends, config_.command_->name);
    if (!depends.empty()) {
        const OptionRow& needed = *find_option(parse_dependency(depends).option);
        const unsigned needed_index = needed.group == Group::none ? 0 : index;
        if (const Value* other = config_.find(needed, needed_index)) {
            check_support_of(needed, needed_index, *other);
        }
    }
    if (is_default(row, index, value)) {
        return;
    }
    const std::string shown_value = row.is_secure || value.texts.empty()
                                        ? std::string()
                                        : fmt::format(" set to '{}'", shown(value.texts.front()));
    const std::string_view fallback = config_.default_text(row, index);
    std::string hint = "remove the option";
    if (!row.built_values.empty()) {
        hint = fmt::format("supported are {} and {}", fallback, list_words(row.built_values));
    } else if (!fallback.empty()) {
        hint += fmt::format(" or set it to '{}'", fallback);
    }
    throw Error(ErrorCode::feature_not_supported,
                fmt::format("option '{}'{} is not supported yet ({})",
                            display_name(row, index),
                            shown_value,
                            value.origin),
                hint);
}

void ConfigBuilder::note_tuning(const OptionRow& row, unsigned index, const Value& value)
{
    if (row.support == Support::tunes && !is_default(row, index, value)) {
        config_.notes_.push_back(
            fmt::format("option '{}' is accepted and has no effect", display_name(row, index)));
    }
}

bool ConfigBuilder::is_default(const OptionRow& row, unsigned index, const Value& value) const
{
    const std::string_view text = config_.default_text(row, index);
    if (value.texts.empty() || value.source == Source::built_in) {
        return value.pairs.empty();
    }
    if (has_part(row.built_values, '|', value.texts.front())) {
        return true;
    }
    if (text.empty()) {
        return false;
    }
    const Value& built_in = built_in_value(row, text);
    const bool is_word = row.type == OptionType::string || row.type == OptionType::path ||
                         row.type == OptionType::string_id || row.type == OptionType::list;
    return is_word ? value.texts == built_in.texts : value.number == built_in.number;
}

const std::vector<unsigned>& ConfigBuilder::indexes_of(Group group) const
{
    static const std::vector<unsigned> kNoIndex = {0};
    switch (group) {
    case Group::repo:
        return config_.repo_indexes_;
    case Group::pg:
        return config_.pg_indexes_;
    case Group::none:
        break;
    }
    return kNoIndex;
}

// Options of the command line first: without a stanza the others are missing only for its sake.
void ConfigBuilder::check_required() const
{
    for (const bool is_command_line : {true, false}) {
        for (const OptionRow& row : option_table()) {
            const bool is_required = (row.required & command_bit(config_.command_->id)) != 0;
            if (is_required && (row.section == Section::command_line) == is_command_line) {
                check_required_option(row);
            }
        }
    }
}

void ConfigBuilder::check_required_option(const OptionRow& row) const
{
    for (const unsigned index : indexes_of(row.group)) {
        check_required_option(row, index);
    }
}

void ConfigBuilder::check_required_option(const OptionRow& row, unsigned index) const
{
    const std::string_view depends = text_for_command(row.depends, config_.command_->name);
    if (config_.find(row, index) != nullptr ||
        (!depends.empty() && !config_.is_met(depends, row.group, index))) {
        return;
    }
    std::string hint;
    if (row.name == "repo-cipher-pass") {
        if (config_.has("repo-cipher-pass-file", index) ||
            config_.has("repo-cipher-pass-command", index)) {
            return;
        }
        hint = fmt::format("set it, '{0}-file' or '{0}-command'", display_name(row, index));
    } else if (row.section == Section::stanza) {
        hint = "does this stanza exist?";
    } else if (row.section == Section::command_line) {
        hint = fmt::format("add --{}=VALUE", display_name(row, index));
    }
    throw Error(ErrorCode::option_required,
                fmt::format("{} command requires option: {}",
                            config_.command_->name,
                            display_name(row, index)),
                hint);
}

} // namespace pgstrata::config
