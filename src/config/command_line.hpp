// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/settings.hpp"

#include <string>
#include <vector>

namespace pgstrata::config {

struct CommandLine {
    const CommandRow* command = nullptr; // none given
    Role role = Role::main;
    std::vector<std::string> parameters;
    Settings settings; // without --help and --version
    bool wants_help = false;
    bool wants_version = false;
};

// Takes arguments (without argv[0]) apart. Values are not looked at yet, nor whether options suit
// the command. Throws Error(option_invalid), and Error(command_invalid) for a word that is no
// command.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

} // namespace pgstrata::config
