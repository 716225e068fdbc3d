// SPDX-License-Identifier: PostgreSQL
#include "config/environment.hpp"

#include "config/option_name.hpp"
#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"

#include <unistd.h>

#include <algorithm>

namespace pgstrata::config {

namespace {

// "REPO1_S3_KEY" as "repo1-s3-key"; empty when no option is written like this.
std::string option_name(std::string_view variable)
{
    std::string name;
    for (const char c : variable) {
        if (c >= 'A' && c <= 'Z') {
            name += static_cast<char>(c - 'A' + 'a');
        } else if (c >= '0' && c <= '9') {
            name += c;
        } else if (c == '_') {
            name += '-';
        } else {
            return {};
        }
    }
    return name;
}

std::vector<std::string> split_value(const OptionRow& row, std::string_view value)
{
    if (!may_repeat(row) || value.empty()) {
        return {std::string(value)};
    }
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin <= value.size();) {
        const std::size_t end = std::min(value.find(':', begin), value.size());
        parts.emplace_back(value.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

} // namespace

void add_environment(const Environment& environment,
                     std::string_view prefix,
                     const CommandRow& command,
                     Settings& settings,
                     std::vector<std::string>& warnings)
{
    Settings found;
    for (const auto& [variable, value] : environment.variables) {
        if (!variable.starts_with(prefix)) {
            continue;
        }
        const std::string name = option_name(std::string_view(variable).substr(prefix.size()));
        const OptionName match = match_name(name);
        if (match.fault != NameFault::none) {
            const bool is_negation = name.starts_with("no-") || name.starts_with("reset-");
            warnings.push_back(
                fmt::format("environment variable '{}' {} and is ignored",
                            shown(variable),
                            is_negation ? "negates or resets an option" : "sets no known option"));
            continue;
        }
        if (!is_valid_for(*match.row, command)) {
            continue;
        }
        Setting setting;
        setting.source = Source::environment;
        setting.origin = fmt::format("environment variable {}", variable);
        setting.texts = split_value(*match.row, value);
        const auto [place, is_new] =
            found.try_emplace({match.row, match.index}, std::move(setting));
        if (!is_new) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is set multiple times ({} and {})",
                                    display_name(*match.row, match.index),
                                    place->second.origin,
                                    variable));
        }
    }
    settings.merge(found);
}

Environment process_environment(int argc, char** argv)
{
    Environment environment;
    if (argc > 0) {
        environment.executable = argv[0];
        environment.arguments.assign(argv + 1, argv + argc);
    }
    for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::size_t equals = std::min(text.find('='), text.size());
        environment.variables.emplace_back(text.substr(0, equals),
                                           text.substr(std::min(equals + 1, text.size())));
    }
    return environment;
}

} // namespace pgstrata::config
