// SPDX-License-Identifier: PostgreSQL
#include "config/command_line.hpp"

#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/value.hpp"

#include "pgstrata/util/error.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace pgstrata::config {

namespace {

constexpr std::string_view kOrigin = "command line";

// "archive-push:async" is how this program calls itself; no other command has a role besides main.
Role match_role(const CommandRow& command, std::string_view word)
{
    const auto colon = word.find(':');
    const std::string_view role = word.substr(std::min(colon, word.size() - 1) + 1);
    if (colon == std::string_view::npos || role == "main") {
        return Role::main;
    }
    const bool has_async =
        command.id == Command::archive_get || command.id == Command::archive_push;
    if (role == "async" && has_async) {
        return Role::async;
    }
    throw Error(ErrorCode::feature_not_supported,
                fmt::format("command '{}' has no role '{}'", command.name, shown(role)),
                fmt::format("write '{}'", command.name));
}

const CommandRow& match_command(std::string_view word)
{
    const auto colon = word.find(':');
    const std::string_view name = word.substr(0, colon);
    const CommandRow* match = find_command(name);
    for (const CommandRow& row : command_table()) {
        if (match == nullptr && !name.empty() && row.name.starts_with(name)) {
            match = &row;
        }
    }
    if (match == nullptr) {
        std::string names;
        for (const CommandRow& row : command_table()) {
            names += std::string(row.name) + "|";
        }
        const std::string_view meant = nearest_word(name, names);
        throw Error(ErrorCode::command_invalid,
                    fmt::format("unknown command '{}'", shown(word)),
                    meant.empty() ? "'pgstrata help' lists the commands" : did_you_mean(meant));
    }
    return *match;
}

class Parser {
public:
    explicit Parser(const std::vector<std::string>& arguments) : arguments_(arguments) {}

    CommandLine parse()
    {
        while (next_ < arguments_.size()) {
            const std::string_view argument = arguments_[next_++];
            if (argument == "--" || argument == "-") {
                throw Error(ErrorCode::option_invalid,
                            fmt::format("'{}' is neither an option nor a word", argument),
                            "options and words may stand in any order: leave it out");
            }
            if (argument.starts_with("--")) {
                parse_option(argument.substr(2));
            } else if (argument.starts_with('-')) {
                throw Error(ErrorCode::option_invalid,
                            fmt::format("option '{}' begins with one dash",
                                        shown(argument.substr(0, argument.find('=')))),
                            "options are written with two: --stanza=NAME");
            } else {
                add_word(argument);
            }
        }
        take_help();
        return std::move(line_);
    }

private:
    void add_word(std::string_view word)
    {
        if (line_.command == nullptr) {
            line_.command = &match_command(word);
            line_.role = match_role(*line_.command, word);
        } else {
            line_.parameters.emplace_back(word);
        }
    }

    void parse_option(std::string_view text)
    {
        const auto equals = text.find('=');
        std::string_view name = text.substr(0, equals);
        Setting setting;
        setting.origin = kOrigin;
        OptionName match = match_name(name);
        if (match.fault != NameFault::none) {
            if (name.starts_with("no-")) {
                setting.kind = Setting::Kind::negated;
                name.remove_prefix(3);
            } else if (name.starts_with("reset-")) {
                setting.kind = Setting::Kind::reset;
                name.remove_prefix(6);
            }
            match = match_shortened(name);
        }
        const std::string full_name = display_name(*match.row, match.index);
        check_kind(*match.row, full_name, setting.kind);
        take_value(*match.row, full_name, text, setting);
        store(match, full_name, std::move(setting));
    }

    static OptionName match_shortened(std::string_view name)
    {
        const OptionName exact = match_name(name);
        if (exact.fault == NameFault::none || name.size() > kMaximumNameLength || name.empty()) {
            return checked(name, exact);
        }
        const std::vector<std::string> names = complete_name(name);
        if (names.size() == 1) {
            return match_name(names.front());
        }
        if (names.size() > 1 && exact.row == nullptr) {
            std::string hint = "it may stand for";
            for (std::size_t i = 0; i < names.size() && i < 4; ++i) {
                hint += (i == 0 ? " " : ", ") + names[i];
            }
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is ambiguous", shown(name)),
                        names.size() > 4 ? hint + " ..." : hint);
        }
        return checked(name, exact);
    }

    static OptionName checked(std::string_view name, const OptionName& match)
    {
        if (match.fault != NameFault::none) {
            raise_name_fault(name, match);
        }
        return match;
    }

    static void check_kind(const OptionRow& row, const std::string& name, Setting::Kind kind)
    {
        if (kind == Setting::Kind::negated && !row.allows_no) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' cannot be negated with --no-", name));
        }
        if (kind == Setting::Kind::reset && !row.allows_reset) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' cannot be reset with --reset-", name));
        }
        if (kind == Setting::Kind::value && row.is_secure) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is not allowed on the command line, where other "
                                    "users can read it",
                                    name),
                        "set it in the configuration file or the environment");
        }
    }

    void take_value(const OptionRow& row,
                    const std::string& name,
                    std::string_view text,
                    Setting& setting)
    {
        const auto equals = text.find('=');
        const bool has_value = equals != std::string_view::npos;
        if (setting.kind != Setting::Kind::value) {
            if (has_value) {
                throw Error(ErrorCode::option_invalid,
                            fmt::format("option '{}' takes no value with --no- or --reset-", name));
            }
            return;
        }
        // Boolean options and those like them take a value only after '='.
        const bool is_switch =
            row.type == OptionType::boolean || (row.type == OptionType::string_id && row.allows_no);
        if (has_value) {
            setting.texts.emplace_back(text.substr(equals + 1));
        } else if (is_switch) {
            setting.texts.emplace_back("y");
        } else if (next_ < arguments_.size()) {
            setting.texts.push_back(arguments_[next_++]);
        } else {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' needs a value", name),
                        fmt::format("write --{}=VALUE", name));
        }
    }

    void store(const OptionName& match, const std::string& name, Setting setting)
    {
        const auto [place, is_new] = line_.settings.try_emplace({match.row, match.index}, setting);
        if (is_new) {
            return;
        }
        Setting& before = place->second;
        if (before.kind != setting.kind) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is both set and negated or reset", name));
        }
        if (setting.kind != Setting::Kind::value || !may_repeat(*match.row)) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is set multiple times", name));
        }
        before.texts.push_back(std::move(setting.texts.front()));
    }

    bool take_switch(std::string_view name)
    {
        const auto found = line_.settings.find({find_option(name), 0});
        if (found == line_.settings.end()) {
            return false;
        }
        const OptionRow& row = *found->first.first;
        std::vector<std::string> warnings;
        const Value value = parse_value({.row = row,
                                         .name = std::string(name),
                                         .allowed = row.allowed,
                                         .source = Source::command_line,
                                         .origin = std::string(kOrigin)},
                                        std::move(found->second.texts),
                                        warnings);
        line_.settings.erase(found);
        return value.number != 0;
    }

    void take_help()
    {
        line_.wants_help = take_switch("help");
        line_.wants_version = take_switch("version");
    }

    const std::vector<std::string>& arguments_;
    std::size_t next_ = 0;
    CommandLine line_;
};

} // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments)
{
    return Parser(arguments).parse();
}

} // namespace pgstrata::config
