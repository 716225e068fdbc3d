// SPDX-License-Identifier: PostgreSQL
#include "config/config_files.hpp"

#include "config/option_name.hpp"
#include "config/option_text.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>

namespace pgstrata::config {

namespace {

constexpr std::string_view kGlobal = "global";
constexpr std::string_view kOwnDirectory = "/etc/pgstrata";
constexpr std::string_view kOwnFile = "pgstrata.conf";
constexpr std::string_view kLinkDirectory = "/etc/pgbackrest";
constexpr std::string_view kLinkFile = "pgbackrest.conf";
constexpr std::string_view kOldLinkFile = "/etc/pgbackrest.conf";

bool exists(const std::string& path)
{
    // A file that cannot be looked at is one that is there: opening it says what is wrong.
    std::error_code fault;
    return std::filesystem::exists(path, fault) || fault;
}

void read_file(Ini& ini, const std::string& path)
{
    append_ini(ini, path, read_text_file(path));
}

enum class Presence : std::uint8_t { required, optional };

void read_directory(Ini& ini, const std::string& path, Presence presence)
{
    std::error_code fault;
    std::vector<std::string> files;
    std::filesystem::directory_iterator entry(path, fault);
    for (; !fault && entry != std::filesystem::directory_iterator(); entry.increment(fault)) {
        if (entry->path().extension() == ".conf") {
            files.push_back(entry->path().string());
        }
    }
    if (fault == std::errc::no_such_file_or_directory) {
        if (presence == Presence::required) {
            throw Error(ErrorCode::path_missing,
                        fmt::format("missing configuration directory '{}'", path),
                        "option 'config-include-path' names it");
        }
        return;
    }
    if (fault) {
        raise_errno(ErrorCode::path_open,
                    fault.value(),
                    fmt::format("read configuration directory '{}'", path));
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
        read_file(ini, file);
    }
}

struct Choice {
    std::optional<std::string> config;
    bool no_config = false;
    std::optional<std::string> config_path;
    std::optional<std::string> include_path;
};

std::optional<std::string> chosen(const Settings& settings, std::string_view option)
{
    const auto found = settings.find({find_option(option), 0});
    if (found == settings.end() || found->second.kind != Setting::Kind::value) {
        return std::nullopt;
    }
    const std::string& text = found->second.texts.front();
    if (text.empty()) {
        throw Error(
            ErrorCode::option_invalid_value,
            fmt::format("option '{}' has an empty value ({})", option, found->second.origin));
    }
    return text;
}

Choice read_choice(const Settings& settings)
{
    const auto config = settings.find({find_option("config"), 0});
    return {.config = chosen(settings, "config"),
            .no_config = config != settings.end() && config->second.kind == Setting::Kind::negated,
            .config_path = chosen(settings, "config-path"),
            .include_path = chosen(settings, "config-include-path")};
}

// Where files are looked for when no option says so.
struct Defaults {
    std::string directory;
    std::string file;
};

Defaults find_defaults(const Environment& environment, bool is_link, const Choice& choice)
{
    const std::string& root = environment.configuration_root;
    const std::string own =
        choice.config_path ? *choice.config_path : root + std::string(kOwnDirectory);
    std::string own_file = join_path(own, kOwnFile);
    if (!is_link || exists(own_file)) {
        return {.directory = own, .file = std::move(own_file)};
    }
    const std::string link = choice.config_path ? own : root + std::string(kLinkDirectory);
    std::string link_file = join_path(link, kLinkFile);
    const bool is_overridden = choice.config_path || choice.include_path;
    if (!is_overridden && !exists(link_file)) {
        link_file = root + std::string(kOldLinkFile);
    }
    return {.directory = link, .file = std::move(link_file)};
}

// A section's place in the order of precedence, 0 first; nothing for one of no concern.
std::optional<std::size_t>
section_rank(std::string_view section, const CommandRow& command, const std::string& stanza)
{
    const std::string_view owner = next_part(section, ':');
    const bool is_global = owner == kGlobal;
    if (!is_global && (stanza.empty() || owner != stanza)) {
        return std::nullopt;
    }
    if (!section.empty() && section != command.name) {
        return std::nullopt;
    }
    return (is_global ? 2U : 0U) + (section.empty() ? 1U : 0U);
}

// One section of one rank, gathered from all files.
class SectionReader {
public:
    SectionReader(const Ini& ini, const CommandRow& command, std::vector<std::string>& warnings)
        : ini_(ini), command_(command), warnings_(warnings)
    {
    }

    void add(const IniEntry& entry)
    {
        const OptionName match = match_name(entry.key);
        if (const std::string fault = why_ignored(entry, match); !fault.empty()) {
            warnings_.push_back(fmt::format("{}: {}", origin_of(ini_, entry), fault));
            return;
        }
        if (!is_valid_for(*match.row, command_)) {
            return;
        }
        Setting setting;
        setting.source = Source::file;
        setting.origin = origin_of(ini_, entry);
        setting.texts.push_back(entry.value);
        const auto [place, is_new] = found_.try_emplace({match.row, match.index}, setting);
        keys_.try_emplace({match.row, match.index}, entry.key);
        if (!is_new) {
            add_again(match, entry, place->second);
        }
    }

    Settings& found() { return found_; }

private:
    std::string why_ignored(const IniEntry& entry, const OptionName& match) const
    {
        if (match.fault != NameFault::none) {
            return unknown_key(entry.key, match);
        }
        const std::string name = display_name(*match.row, match.index);
        if (match.row->section == Section::command_line) {
            return fmt::format("option '{}' belongs on the command line and is ignored", name);
        }
        if (match.row->section == Section::stanza && entry.section.starts_with(kGlobal) &&
            section_owner(entry.section) == kGlobal) {
            return fmt::format("option '{}' belongs in the section of a stanza and is ignored",
                               name);
        }
        if (entry.section.find(':') != std::string::npos && !is_valid_for(*match.row, command_)) {
            return fmt::format(
                "option '{}' is not valid for command '{}' and is ignored", name, command_.name);
        }
        return {};
    }

    static std::string_view section_owner(std::string_view section)
    {
        return next_part(section, ':');
    }

    // Quotes only what looks like an option: a stray line may be half of a secret.
    static std::string unknown_key(const std::string& key, const OptionName& match)
    {
        const bool looks_like_option =
            key.size() <= kMaximumNameLength &&
            key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
        if (!looks_like_option) {
            return "unknown option is ignored";
        }
        if (key.starts_with("no-") || key.starts_with("reset-")) {
            return fmt::format("'{}' works on the command line only and is ignored", key);
        }
        switch (match.fault) {
        case NameFault::index_missing:
            return fmt::format("option '{}' needs an index and is ignored, write '{}'",
                               key,
                               display_name(*match.row, 1));
        case NameFault::index_forbidden:
            return fmt::format("option '{}' takes no index and is ignored", key);
        case NameFault::index_range:
            return fmt::format("option '{}' has an index out of range and is ignored", key);
        default:
            break;
        }
        const std::string meant = did_you_mean(nearest_name(key));
        return fmt::format(
            "unknown option '{}' is ignored{}{}", key, meant.empty() ? "" : ", ", meant);
    }

    void add_again(const OptionName& match, const IniEntry& entry, Setting& before)
    {
        const std::string& first_key = keys_[{match.row, match.index}];
        const std::string name = display_name(*match.row, match.index);
        if (first_key != entry.key) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is set as '{}' ({}) and as '{}' ({})",
                                    name,
                                    first_key,
                                    before.origin,
                                    entry.key,
                                    origin_of(ini_, entry)),
                        "keep the new name only");
        }
        if (!may_repeat(*match.row)) {
            throw Error(ErrorCode::option_invalid,
                        fmt::format("option '{}' is set multiple times in section '{}' ({} and {})",
                                    name,
                                    shown(entry.section),
                                    before.origin,
                                    origin_of(ini_, entry)));
        }
        before.texts.push_back(entry.value);
    }

    const Ini& ini_;
    const CommandRow& command_;
    std::vector<std::string>& warnings_;
    Settings found_;
    std::map<std::pair<const OptionRow*, unsigned>, std::string> keys_;
};

void warn_of_unknown_commands(const Ini& ini,
                              const std::string& stanza,
                              std::vector<std::string>& warnings)
{
    std::set<std::string_view> seen;
    for (std::string_view section : ini.sections) {
        const std::string_view whole = section;
        const std::string_view owner = next_part(section, ':');
        const bool is_ours = owner == kGlobal || (!stanza.empty() && owner == stanza);
        if (is_ours && !section.empty() && find_command(section) == nullptr &&
            seen.insert(whole).second) {
            warnings.push_back(
                fmt::format("section '{}' names no command and is ignored", shown(whole)));
        }
    }
}

bool is_variable_name(std::string_view name)
{
    return !name.empty() && (name.front() < '0' || name.front() > '9') &&
           name.find_first_not_of(
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
               std::string_view::npos;
}

const std::string* find_variable(const Environment& environment, std::string_view name)
{
    for (const auto& [variable, value] : environment.variables) {
        if (variable == name) {
            return &value;
        }
    }
    return nullptr;
}

// `value_of` gets the name in ${NAME}; "" when the closing brace is missing.
template <typename ValueOf>
std::string replace_references(std::string_view text, ValueOf value_of)
{
    std::string replaced;
    while (!text.empty()) {
        if (text.starts_with("$${")) {
            replaced += "${";
            text.remove_prefix(3);
        } else if (text.starts_with("${")) {
            const auto end = text.find('}');
            replaced += value_of(end == std::string_view::npos ? std::string_view()
                                                               : text.substr(2, end - 2));
            text.remove_prefix(end + 1);
        } else {
            replaced += text.front();
            text.remove_prefix(1);
        }
    }
    return replaced;
}

} // namespace

Ini read_config_files(const Environment& environment,
                      bool is_pgbackrest_link,
                      const Settings& settings)
{
    const Choice choice = read_choice(settings);
    const Defaults defaults = find_defaults(environment, is_pgbackrest_link, choice);
    Ini ini;
    if (choice.config) {
        read_file(ini, *choice.config);
    } else if (!choice.no_config && exists(defaults.file)) {
        read_file(ini, defaults.file);
    }
    if (choice.include_path) {
        read_directory(ini, *choice.include_path, Presence::required);
    } else if (choice.config_path || (!choice.config && !choice.no_config)) {
        read_directory(ini, join_path(defaults.directory, "conf.d"), Presence::optional);
    }
    return ini;
}

void add_sections(const Ini& ini,
                  const CommandRow& command,
                  const std::string& stanza,
                  Settings& settings,
                  std::vector<std::string>& warnings)
{
    constexpr std::size_t kRanks = 4;
    for (std::size_t rank = 0; rank < kRanks; ++rank) {
        SectionReader reader(ini, command, warnings);
        for (const IniEntry& entry : ini.entries) {
            if (section_rank(entry.section, command, stanza) == rank) {
                reader.add(entry);
            }
        }
        settings.merge(reader.found());
    }
    warn_of_unknown_commands(ini, stanza, warnings);
}

std::vector<std::string> list_stanzas(const Ini& ini)
{
    std::set<std::string> stanzas;
    for (std::string_view section : ini.sections) {
        const std::string_view owner = next_part(section, ':');
        if (owner != kGlobal && !owner.empty()) {
            stanzas.emplace(owner);
        }
    }
    return {stanzas.begin(), stanzas.end()};
}

void expand_variables(const OptionRow& row,
                      const std::string& name,
                      const Environment& environment,
                      Setting& setting)
{
    const auto fail = [&](std::string_view fault, std::string_view variable) {
        // In a secure value what looks like a name may be a part of the secret.
        const std::string quoted =
            row.is_secure || variable.empty() ? std::string() : fmt::format(" '{}'", variable);
        throw Error(ErrorCode::option_invalid_value,
                    fmt::format("option '{}' {}{} ({})", name, fault, quoted, setting.origin),
                    "export the variable, or write $${ where ${ itself is meant");
    };
    const auto value_of = [&](std::string_view variable) -> const std::string& {
        if (!is_variable_name(variable)) {
            fail("has a malformed ${...}", {});
        }
        const std::string* value = find_variable(environment, variable);
        if (value == nullptr) {
            fail("needs an environment variable that is not set:", variable);
        }
        return *value;
    };
    for (std::string& text : setting.texts) {
        text = replace_references(text, value_of);
    }
}

} // namespace pgstrata::config
