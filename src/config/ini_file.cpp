// SPDX-License-Identifier: PostgreSQL
#include "config/ini_file.hpp"

#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"

namespace pgstrata::config {

namespace {

[[noreturn]] void raise_line(const std::string& path, unsigned line, std::string_view fault)
{
    throw Error(ErrorCode::format,
                fmt::format("{} line {}: {}", path, line, fault),
                "a line is a [section], an option=value or a # comment");
}

void add_entry(Ini& ini, std::string_view text, unsigned line, bool has_section)
{
    const std::string& path = ini.files.back();
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
        raise_line(path, line, "neither a section nor an option");
    }
    if (!has_section) {
        raise_line(path, line, "an option before the first section");
    }
    const std::string_view key = trim(text.substr(0, equals));
    if (key.empty()) {
        raise_line(path, line, "a value without an option");
    }
    ini.entries.push_back({.section = ini.sections.back(),
                           .key = std::string(key),
                           .value = std::string(trim(text.substr(equals + 1))),
                           .file = ini.files.size() - 1,
                           .line = line});
}

} // namespace

void append_ini(Ini& ini, const std::string& path, std::string_view text)
{
    ini.files.push_back(path);
    // What a file says must not depend on the file that was read before it.
    const std::size_t sections_before = ini.sections.size();
    for (unsigned line = 1; !text.empty(); ++line) {
        const std::string_view content = next_part(text, '\n');
        if (content.find('\0') != std::string_view::npos) {
            raise_line(path, line, "a zero byte");
        }
        if (content.empty() || content.front() == '#') {
            continue;
        }
        if (content.front() != '[' || content.back() != ']') {
            add_entry(ini, content, line, ini.sections.size() > sections_before);
            continue;
        }
        const std::string_view section = trim(content.substr(1, content.size() - 2));
        if (section.empty()) {
            raise_line(path, line, "a section without a name");
        }
        ini.sections.emplace_back(section);
    }
}

std::string origin_of(const Ini& ini, const IniEntry& entry)
{
    return fmt::format("{} line {}", ini.files[entry.file], entry.line);
}

} // namespace pgstrata::config
