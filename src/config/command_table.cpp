// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/config/option_table.hpp"

#include <algorithm>
#include <array>

namespace pgstrata::config {

namespace {

constexpr bool kNotBuilt = false;

// clang-format off
constexpr std::array<CommandRow, kCommands> kCommandTable = {{
    {.id = Command::annotate, .name = "annotate", .summary = "Add, change or delete the notes of a backup."},
    {.id = Command::archive_get, .name = "archive-get", .summary = "Get a WAL segment from the archive.",
     .minimum_parameters = 2, .maximum_parameters = 2, .parameter_names = "WAL-NAME DESTINATION"},
    {.id = Command::archive_push, .name = "archive-push", .summary = "Push a WAL segment to the archive.",
     .minimum_parameters = 1, .maximum_parameters = 1, .parameter_names = "WAL-PATH"},
    {.id = Command::backup, .name = "backup", .summary = "Back up a cluster.", .logs_to_file = true},
    {.id = Command::check, .name = "check", .summary = "Check the configuration and that WAL gets archived."},
    {.id = Command::expire, .name = "expire", .summary = "Remove backups and WAL that exceed retention.",
     .logs_to_file = true},
    {.id = Command::help, .name = "help", .summary = "Get help for the program, a command or an option.",
     .maximum_parameters = 2, .parameter_names = "[COMMAND [OPTION]]", .begin_at_debug = true,
     .stdout_is_product = true},
    {.id = Command::info, .name = "info", .summary = "Show stanzas, backups and archived WAL.",
     .begin_at_debug = true, .stdout_is_product = true},
    {.id = Command::manifest, .name = "manifest", .summary = "Show the manifest of a backup.",
     .begin_at_debug = true, .is_internal = true, .is_built = kNotBuilt},
    {.id = Command::repo_get, .name = "repo-get", .summary = "Print a file of a repository.",
     .minimum_parameters = 1, .maximum_parameters = 1, .parameter_names = "FILE", .begin_at_debug = true,
     .stdout_is_product = true},
    {.id = Command::repo_ls, .name = "repo-ls", .summary = "List files of a repository.",
     .maximum_parameters = 1, .parameter_names = "[PATH]", .begin_at_debug = true, .stdout_is_product = true},
    {.id = Command::repo_rm, .name = "repo-rm", .summary = "Remove files of a repository.",
     .minimum_parameters = 1, .maximum_parameters = 1, .parameter_names = "PATH", .begin_at_debug = true,
     .is_internal = true, .is_built = kNotBuilt},
    {.id = Command::restore, .name = "restore", .summary = "Restore a cluster.", .logs_to_file = true},
    {.id = Command::server, .name = "server", .summary = "Serve other hosts.", .logs_to_file = true,
     .is_built = kNotBuilt},
    {.id = Command::server_ping, .name = "server-ping", .summary = "Test whether a server answers.",
     .maximum_parameters = 1, .parameter_names = "[HOST]", .is_built = kNotBuilt},
    {.id = Command::stanza_create, .name = "stanza-create", .summary = "Prepare the repositories for a cluster.",
     .logs_to_file = true},
    {.id = Command::stanza_delete, .name = "stanza-delete", .summary = "Delete a stanza with all its backups.",
     .logs_to_file = true},
    {.id = Command::stanza_upgrade, .name = "stanza-upgrade",
     .summary = "Adapt a stanza to an upgraded cluster.", .logs_to_file = true},
    {.id = Command::start, .name = "start", .summary = "Allow processes to run again.", .logs_to_file = true},
    {.id = Command::stop, .name = "stop", .summary = "Keep processes from running.", .logs_to_file = true},
    {.id = Command::verify, .name = "verify", .summary = "Verify the contents of a repository.",
     .logs_to_file = true, .stdout_is_product = true},
    {.id = Command::version, .name = "version", .summary = "Show the version.", .begin_at_debug = true,
     .stdout_is_product = true},
}};
// clang-format on

} // namespace

std::span<const CommandRow> command_table() noexcept
{
    return kCommandTable;
}

const CommandRow* find_command(std::string_view name) noexcept
{
    const auto* found = std::find_if(kCommandTable.begin(),
                                     kCommandTable.end(),
                                     [&](const CommandRow& row) { return row.name == name; });
    return found != kCommandTable.end() ? found : nullptr;
}

} // namespace pgstrata::config
