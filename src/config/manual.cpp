// SPDX-License-Identifier: PostgreSQL
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/value.hpp"

#include "pgstrata/config/help.hpp"

#include <fmt/format.h>

#include <array>
#include <functional>

namespace pgstrata::config {

namespace {

// Text as roff shows it literally.
std::string escape(std::string_view text)
{
    std::string escaped;
    for (const char c : text) {
        if (c == '-') {
            escaped += "\\-";
        } else if (c == '\\') {
            escaped += "\\e";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

std::string_view type_name(OptionType type) noexcept
{
    switch (type) {
    case OptionType::boolean:
        return "y or n";
    case OptionType::integer:
        return "a number";
    case OptionType::size:
        return "a size";
    case OptionType::time:
        return "a time";
    case OptionType::path:
        return "a path";
    case OptionType::string:
        return "a text";
    case OptionType::string_id:
        return "a word";
    case OptionType::list:
        return "a list";
    case OptionType::hash:
        return "a list of key=value";
    }
    return "";
}

using Describe = std::function<std::string(std::string_view)>;

// "KEY=>TEXT; ..." as "TEXT with OPTION KEY, ..."
std::string describe_keys(const OptionRow& row, std::string_view text, const Describe& describe)
{
    if (!depends_on_key(text)) {
        return text.empty() ? std::string() : describe(text);
    }
    const std::string_view option = parse_dependency(row.depends).option;
    std::string description;
    while (!text.empty()) {
        const std::string_view part = next_part(text, ';');
        const auto arrow = part.find("=>");
        description += fmt::format("{}{} with {} {}",
                                   description.empty() ? "" : ", ",
                                   describe(part.substr(arrow + 2)),
                                   option,
                                   part.substr(0, arrow));
    }
    return description;
}

// "BASE {COMMAND:TEXT; ...}" as "BASE; for COMMAND TEXT; ..."
std::string describe_commands(const OptionRow& row, std::string_view text, const Describe& describe)
{
    std::string description = describe_keys(row, trim(text.substr(0, text.find('{'))), describe);
    const auto brace = text.find('{');
    std::string_view variants = brace == std::string_view::npos
                                    ? std::string_view()
                                    : text.substr(brace + 1, text.rfind('}') - brace - 1);
    while (!variants.empty()) {
        std::string_view variant = next_part(variants, ';');
        const std::string_view command = next_part(variant, ':');
        description += fmt::format("{}for {} {}",
                                   description.empty() ? "" : "; ",
                                   command,
                                   describe_keys(row, trim(variant), describe));
    }
    return description;
}

std::string describe_default(std::string_view text)
{
    if (text == "<argv0>") {
        return "the path of the running program";
    }
    return std::string(text);
}

std::string list_commands(std::uint32_t commands)
{
    std::string names;
    for (const CommandRow& command : command_table()) {
        if ((commands & command_bit(command.id)) != 0) {
            names += fmt::format("{}{}", names.empty() ? "" : ", ", command.name);
        }
    }
    return names;
}

std::string describe_validity(const OptionRow& row)
{
    constexpr std::uint32_t kEvery = (std::uint32_t{1} << kCommands) - 1;
    if (row.commands == kEvery) {
        return "all";
    }
    if (row.commands == find_option("repo-path")->commands) {
        return "all that open a repository";
    }
    return row.commands == 0 ? "none" : list_commands(row.commands);
}

std::string support_sentence(const OptionRow& row)
{
    if (!row.built_values.empty()) {
        return {};
    }
    if (row.support == Support::tunes) {
        return "Accepted, has no effect.";
    }
    return row.support == Support::refused ? "Not supported yet." : "";
}

void add_line(std::string& page, std::string_view title, std::string_view text)
{
    if (!text.empty()) {
        page += fmt::format(".br\n{}: {}\n", title, escape(text));
    }
}

std::string render_option(const OptionRow& row)
{
    std::string page = fmt::format(".TP\n.B {}\n{}\n", escape(row.name), escape(row.meaning));
    if (const std::string support = support_sentence(row); !support.empty()) {
        page += escape(support) + "\n";
    }
    if (row.is_secure) {
        page += "Never on the command line.\n";
    }
    const std::string allowed = describe_commands(
        row, row.allowed, [&](std::string_view text) { return list_allowed(row, text); });
    add_line(page,
             "Value",
             row.type == OptionType::boolean || allowed.empty()
                 ? std::string(type_name(row.type))
                 : fmt::format("{}: {}", type_name(row.type), allowed));
    add_line(page, "Default", describe_commands(row, row.default_value, describe_default));
    add_line(page, "Old names", list_old_names(row));
    add_line(page, "Commands", describe_validity(row));
    return page;
}

struct Part {
    std::string_view title;
    std::string_view introduction;
    bool (*holds)(const OptionRow&);
};

constexpr std::array kParts = {
    Part{"General options",
         "These stand in any section.",
         [](const OptionRow& row) {
             return !row.is_internal && row.group == Group::none &&
                    row.section != Section::command_line;
         }},
    Part{
        "Repository options",
        "An index from 1 to 256 stands before the first dash: repo\\-path is written repo1\\-path, "
        "repo2\\-path and so on.",
        [](const OptionRow& row) { return !row.is_internal && row.group == Group::repo; }},
    Part{"Cluster options",
         "An index from 1 to 256 stands before the first dash: pg\\-path is written pg1\\-path. "
         "Those "
         "about "
         "one cluster stand only in the section of a stanza.",
         [](const OptionRow& row) { return !row.is_internal && row.group == Group::pg; }},
    Part{"Options of the command line and the environment",
         "These are ignored with a warning in a file.",
         [](const OptionRow& row) {
             return !row.is_internal && row.section == Section::command_line;
         }},
    Part{"Internal options",
         "Accepted for compatibility or used by the program itself.",
         [](const OptionRow& row) { return row.is_internal; }},
};

} // namespace

std::string render_option_manual()
{
    std::string page;
    for (const Part& part : kParts) {
        page += fmt::format(".SS {}\n{}\n", part.title, part.introduction);
        for (const OptionRow& row : option_table()) {
            if (part.holds(row)) {
                page += render_option(row);
            }
        }
    }
    return page;
}

} // namespace pgstrata::config
