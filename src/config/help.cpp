// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/config/help.hpp"

#include "config/environment.hpp"
#include "config/option_defaults.hpp"
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/settings.hpp"
#include "config/value.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace pgstrata::config {

namespace {

constexpr std::size_t kLineWidth = 80;
constexpr std::size_t kOptionColumn = 36;
constexpr std::size_t kCommandColumn = 22;
// An option of no more commands than this is one of the command's own.
constexpr int kOwnCommands = 3;

enum class Chapter : std::uint8_t { command, general, log, repository, stanza };
constexpr std::array kChapters = {
    std::pair{Chapter::command, std::string_view("Command Options")},
    std::pair{Chapter::general, std::string_view("General Options")},
    std::pair{Chapter::log, std::string_view("Log Options")},
    std::pair{Chapter::repository, std::string_view("Repository Options")},
    std::pair{Chapter::stanza, std::string_view("Stanza Options")},
};

Chapter chapter_of(const OptionRow& row)
{
    if (row.group == Group::repo || row.name.starts_with("repo")) {
        return Chapter::repository;
    }
    if (row.group == Group::pg || row.section == Section::stanza || row.name == "stanza") {
        return Chapter::stanza;
    }
    if (row.name.starts_with("log-")) {
        return Chapter::log;
    }
    return std::popcount(row.commands) <= kOwnCommands ? Chapter::command : Chapter::general;
}

bool is_shown(const OptionRow& row, const CommandRow& command)
{
    return is_valid_for(row, command) && !row.is_internal &&
           (row.internal_commands & command_bit(command.id)) == 0;
}

// Breaks `text` into lines that begin at `column`, the first one behind what already stands there.
std::string wrap(std::string_view text, std::size_t column)
{
    std::string lines;
    std::size_t used = column;
    while (!text.empty()) {
        const std::string_view word = next_part(text, ' ');
        if (used > column && used + 1 + word.size() > kLineWidth) {
            lines += "\n" + std::string(column, ' ');
            used = column;
        } else if (used > column) {
            lines += " ";
            ++used;
        }
        lines += word;
        used += word.size();
    }
    return lines;
}

std::string in_column(std::string_view left, std::size_t column, std::string_view text)
{
    std::string line = "    " + std::string(left);
    if (line.size() + 1 > column) {
        line += "\n";
        line.append(column, ' ');
    } else {
        line.resize(column, ' ');
    }
    return line + wrap(text, column) + "\n";
}

std::string default_of(const Config& config, const OptionRow& row, const CommandRow& command)
{
    const std::string_view text = default_text_for(row, command, config.is_pgbackrest_link());
    if (text == "<argv0>") {
        return config.executable();
    }
    if (!depends_on_key(text)) {
        return std::string(text);
    }
    const Dependency dependency = parse_dependency(row.depends);
    const OptionRow& key = *find_option(dependency.option);
    return std::string(text_for_key(text, text_for_command(key.default_value, command.name)));
}

std::string current_of(const Config& config, const OptionRow& row)
{
    static const std::vector<unsigned> kNoIndex = {0};
    const std::vector<unsigned>& indexes = row.group == Group::none   ? kNoIndex
                                           : row.group == Group::repo ? config.repo_indexes()
                                                                      : config.pg_indexes();
    std::string current;
    for (const unsigned index : indexes) {
        if (config.source(row.name, index) == Source::built_in) {
            continue;
        }
        std::vector<std::string> texts = config.list(row.name, index);
        for (const auto& [key, value] : config.pairs(row.name, index)) {
            texts.push_back(fmt::format("{}={}", key, value));
        }
        for (const std::string& text : texts) {
            current += (current.empty() ? "" : ", ") + shown(text);
        }
    }
    return current;
}

// "[current=2, default=1]"
std::string values_of(const Config& config, const OptionRow& row, const CommandRow& command)
{
    const std::string current = current_of(config, row);
    const std::string fallback = default_of(config, row, command);
    std::string text;
    if (!current.empty()) {
        text = "current=" + (row.is_secure ? std::string("<redacted>") : current);
    }
    if (!fallback.empty()) {
        text += (text.empty() ? "default=" : ", default=") + fallback;
    }
    return text.empty() ? text : " [" + text + "]";
}

std::string support_suffix(const OptionRow& row)
{
    if (row.support == Support::built || !row.built_values.empty()) {
        return {};
    }
    return row.support == Support::tunes ? " (accepted, has no effect)" : " (not supported yet)";
}

std::string render_commands()
{
    std::string text = fmt::format("pgstrata {} - backup and restore for PostgreSQL\n\n"
                                   "Usage:\n    pgstrata COMMAND [OPTION ...]\n\nCommands:\n",
                                   PGSTRATA_VERSION);
    for (const CommandRow& command : command_table()) {
        if (!command.is_internal) {
            text += in_column(command.name,
                              kCommandColumn,
                              std::string(command.summary) +
                                  (command.is_built ? "" : " (not supported yet)"));
        }
    }
    return text + "\nUse 'pgstrata help COMMAND' for the options of a command.\n";
}

std::string render_command(const Config& config, const CommandRow& command)
{
    std::string text = fmt::format(
        "pgstrata {} - '{}' command help\n\n{}\n\nUsage:\n    pgstrata {}{}{} [OPTION ...]\n",
        PGSTRATA_VERSION,
        command.name,
        command.summary,
        command.name,
        command.parameter_names.empty() ? "" : " ",
        command.parameter_names);
    for (const auto& [chapter, title] : kChapters) {
        std::string lines;
        for (const OptionRow& row : option_table()) {
            if (is_shown(row, command) && chapter_of(row) == chapter) {
                lines += in_column("--" + std::string(row.name),
                                   kOptionColumn,
                                   std::string(row.meaning) + support_suffix(row) +
                                       values_of(config, row, command));
            }
        }
        if (!lines.empty()) {
            text += fmt::format("\n{}:\n{}", title, lines);
        }
    }
    return text + fmt::format("\nUse 'pgstrata help {} OPTION' for one option.\n", command.name);
}

const OptionRow& find_shown_option(const CommandRow& command, const std::string& name)
{
    const OptionRow* row = find_option(name);
    if (row == nullptr) {
        const OptionName match = match_name(name);
        if (match.fault != NameFault::none) {
            raise_name_fault(name, match);
        }
        row = match.row;
    }
    if (!is_valid_for(*row, command)) {
        throw Error(
            ErrorCode::option_invalid,
            fmt::format("option '{}' is not valid for command '{}'", row->name, command.name),
            fmt::format("'pgstrata help {}' lists its options", command.name));
    }
    return *row;
}

std::string variable_of(const OptionRow& row, std::string_view prefix)
{
    std::string name = display_name(row, row.group == Group::none ? 0 : 1);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return std::string(prefix) + name;
}

std::string render_option(const Config& config, const CommandRow& command, const OptionRow& row)
{
    std::string text = fmt::format("pgstrata {} - '{}' command - '{}' option help\n\n{}{}\n\n",
                                   PGSTRATA_VERSION,
                                   command.name,
                                   row.name,
                                   wrap(row.meaning, 0),
                                   support_suffix(row));
    const auto add = [&](std::string_view title, const std::string& value) {
        if (!value.empty()) {
            text += fmt::format("{}: {}\n", title, value);
        }
    };
    std::string_view allowed = text_for_command(row.allowed, command.name);
    while (depends_on_key(allowed)) {
        const std::string_view variant = next_part(allowed, ';');
        const auto arrow = variant.find("=>");
        add(fmt::format(
                "with {} {}", parse_dependency(row.depends).option, variant.substr(0, arrow)),
            list_allowed(row, variant.substr(arrow + 2)));
    }
    if (!allowed.empty()) {
        add("values", list_allowed(row, allowed));
    }
    add("current", row.is_secure ? std::string() : current_of(config, row));
    add("default", default_of(config, row, command));
    add("old names", list_old_names(row));
    if (row.group != Group::none) {
        add("written with an index", "--" + display_name(row, 1));
    }
    add("environment",
        variable_of(row, config.is_pgbackrest_link() ? kLinkVariablePrefix : kVariablePrefix));
    return text;
}

} // namespace

std::string render_help(const Config& config)
{
    const std::vector<std::string>& words = config.parameters();
    if (words.empty()) {
        return render_commands();
    }
    const CommandRow* command = find_command(words.front());
    if (command == nullptr) {
        throw Error(ErrorCode::command_invalid,
                    fmt::format("unknown command '{}'", shown(words.front())),
                    "'pgstrata help' lists the commands");
    }
    return words.size() == 1
               ? render_command(config, *command)
               : render_option(config, *command, find_shown_option(*command, words[1]));
}

} // namespace pgstrata::config
