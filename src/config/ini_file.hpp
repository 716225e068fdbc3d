// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::config {

struct IniEntry {
    std::string section;
    std::string key;
    std::string value;
    std::size_t file = 0; // in Ini::files
    unsigned line = 0;
};

// The entries of several files in order, as if they were one.
struct Ini {
    std::vector<std::string> files;
    std::vector<IniEntry> entries;
    std::vector<std::string> sections; // in order of appearance, empty ones too
};

// Appends what `text`, read from `path`, holds: [section], key=value, and whole-line comments with
// '#'. Throws Error(format) naming file and line, never quoting the line: it may be half of a
// secret.
void append_ini(Ini& ini, const std::string& path, std::string_view text);

// "/etc/pgstrata/pgstrata.conf line 7"
std::string origin_of(const Ini& ini, const IniEntry& entry);

} // namespace pgstrata::config
