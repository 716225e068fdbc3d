// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace pgstrata::config {

enum class Command : std::uint8_t {
    annotate,
    archive_get,
    archive_push,
    backup,
    check,
    expire,
    help,
    info,
    manifest,
    repo_get,
    repo_ls,
    repo_rm,
    restore,
    server,
    server_ping,
    stanza_create,
    stanza_delete,
    stanza_upgrade,
    start,
    stop,
    verify,
    version,
};
inline constexpr unsigned kCommands = 22;

enum class Role : std::uint8_t { main, async, local, remote };

// What log file a command writes and at which level its begin and end lines stand.
struct CommandRow {
    Command id = Command::help;
    std::string_view name;    // "archive-push"
    std::string_view summary; // one line for help
    std::uint8_t minimum_parameters = 0;
    std::uint8_t maximum_parameters = 0;
    std::string_view parameter_names; // "WAL-PATH"
    bool logs_to_file = false;
    bool begin_at_debug = false;    // begin and end lines are DEBUG, not INFO
    bool is_internal = false;       // not listed in help
    bool is_built = true;           // false: refused with Error(feature_not_supported)
    bool stdout_is_product = false; // its console log goes to stderr
};

enum class OptionType : std::uint8_t {
    boolean,
    integer,
    size,
    time,
    path,
    string,
    string_id,
    list,
    hash
};
enum class Section : std::uint8_t { command_line, global, stanza };
enum class Group : std::uint8_t { none, pg, repo };

// How far an option is built.
enum class Support : std::uint8_t {
    built,
    tunes,   // accepted with one INFO line: ignoring it changes no result
    refused, // exit 67 when set to anything but its default: ignoring it would change what the user
             // gets
};

// A row an option; parsing, checks, help, the begin line and pgstrata.conf(5) all come from these.
// default_value, allowed and depends may differ from command to command: "BASE {COMMAND:TEXT;
// COMMAND:TEXT}"; default_value and allowed may also depend on the value of the option named first
// in depends: "KEY=>TEXT; KEY=>TEXT".
struct OptionRow {
    std::string_view name; // without index: "repo-path"
    Section section = Section::global;
    OptionType type = OptionType::string;
    Group group = Group::none;
    std::string_view
        default_value;          // "" for none; "<argv0>" this program, "auto" the number of cores
    std::string_view allowed;   // "y|n", "[1..999]" or "" for anything
    std::uint32_t commands = 0; // bit per Command (main role)
    std::uint32_t internal_commands = 0; // valid but not shown in help
    bool is_secure = false;
    bool is_redacted = false; // may hold a secret, or command one: the log does not show it
    bool is_internal = false;
    bool allows_no = false;      // --no-NAME
    bool allows_reset = false;   // --reset-NAME
    std::uint32_t required = 0;  // bit per Command
    std::string_view deprecated; // comma separated; '?' stands for the index
    std::string_view depends;    // "repo-type=s3", "pg-path", with ",else=y" for another default
    Support support = Support::built;
    std::string_view
        built_values;         // "posix|cifs": values that are built though `support` says otherwise
    std::string_view meaning; // one sentence, for help and the man page
};

constexpr std::uint32_t command_bit(Command command) noexcept
{
    return std::uint32_t{1} << static_cast<unsigned>(command);
}

// Both tables are in the order of their names.
std::span<const CommandRow> command_table() noexcept;
std::span<const OptionRow> option_table() noexcept;
// nullptr when there is none; exact names only.
const CommandRow* find_command(std::string_view name) noexcept;
const OptionRow* find_option(std::string_view name) noexcept;

} // namespace pgstrata::config
