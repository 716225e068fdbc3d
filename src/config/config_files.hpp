// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "config/ini_file.hpp"
#include "config/settings.hpp"

#include <string>
#include <vector>

namespace pgstrata::config {

// Reads the files that `settings` (command line and environment) choose, or the default ones.
Ini read_config_files(const Environment& environment,
                      bool is_pgbackrest_link,
                      const Settings& settings);

// Adds what the sections that concern `command` and `stanza` (may be empty) say to options that
// `command` knows and that `settings` do not hold yet, the more special section first. What is
// ignored is added to `warnings`.
void add_sections(const Ini& ini,
                  const CommandRow& command,
                  const std::string& stanza,
                  Settings& settings,
                  std::vector<std::string>& warnings);

// The stanzas that have a section, sorted.
std::vector<std::string> list_stanzas(const Ini& ini);

// Replaces ${NAME} in the texts of a setting from a file, $${ by ${. Throws
// Error(option_invalid_value) naming the option and where it stands.
void expand_variables(const OptionRow& row,
                      const std::string& name,
                      const Environment& environment,
                      Setting& setting);

} // namespace pgstrata::config
