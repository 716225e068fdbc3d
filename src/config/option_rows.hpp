// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/option_table.hpp"

#include <cstdint>
#include <string_view>

// The words in which the rows of the option table are written. A row starts as a file-settable
// option with
// --reset-, and --no- when it is boolean; the calls after it say what is different.
namespace pgstrata::config::rows {

template <typename... Commands>
constexpr std::uint32_t on(Commands... commands) noexcept
{
    return (command_bit(commands) | ...);
}

using enum Command;

inline constexpr std::uint32_t kNone = 0;
inline constexpr std::uint32_t kAll = (std::uint32_t{1} << kCommands) - 1;
// Commands that open a repository.
inline constexpr std::uint32_t kRepository =
    kAll & ~on(help, server, server_ping, start, stop, version);
// Commands that may speak to another host.
inline constexpr std::uint32_t kNetwork = kRepository | on(server, server_ping);
// Commands with worker threads.
inline constexpr std::uint32_t kParallel = on(archive_get, archive_push, backup, restore, verify);
// Commands that connect to PostgreSQL.
inline constexpr std::uint32_t kConnects =
    on(backup, check, stanza_create, stanza_delete, stanza_upgrade);
inline constexpr std::uint32_t kClusterHost = kConnects | on(manifest);
// Commands that look into the data directory.
inline constexpr std::uint32_t kDataDirectory =
    kClusterHost | on(archive_get, archive_push, restore);
// Commands that take or look at locks and stop files.
inline constexpr std::uint32_t kLocks =
    on(annotate, archive_get, archive_push, backup, expire, info) |
    on(restore, stanza_create, stanza_delete, stanza_upgrade) | on(start, stop);

class Row : public OptionRow {
    // Stands first because the functions below use it while constants are computed.
    template <typename Change>
    constexpr Row changed(Change change) const
    {
        Row row = *this;
        change(row);
        return row;
    }

public:
    constexpr Row(OptionType kind, std::string_view row_name, std::uint32_t valid_commands)
    {
        type = kind;
        name = row_name;
        commands = valid_commands;
        allows_no = kind == OptionType::boolean;
        allows_reset = true;
    }

    constexpr Row with(std::string_view default_text,
                       std::string_view allowed_text,
                       std::string_view sentence) const
    {
        return changed([=](OptionRow& row) {
            row.default_value = default_text;
            row.allowed = allowed_text;
            row.meaning = sentence;
        });
    }
    constexpr Row on_command_line() const
    {
        return changed([](OptionRow& row) {
            row.section = Section::command_line;
            row.allows_no = false;
            row.allows_reset = false;
        });
    }
    constexpr Row in_stanza() const
    {
        return changed([](OptionRow& row) { row.section = Section::stanza; });
    }
    constexpr Row negatable() const
    {
        return changed([](OptionRow& row) { row.allows_no = true; });
    }
    constexpr Row secure() const
    {
        return changed([](OptionRow& row) { row.is_secure = true; });
    }
    constexpr Row redacted() const
    {
        return changed([](OptionRow& row) { row.is_redacted = true; });
    }
    constexpr Row internal() const
    {
        return changed([](OptionRow& row) { row.is_internal = true; });
    }
    constexpr Row internal_for(std::uint32_t mask) const
    {
        return changed([=](OptionRow& row) { row.internal_commands = mask; });
    }
    // Required wherever it is valid and what it depends on holds.
    constexpr Row required() const
    {
        return changed([](OptionRow& row) { row.required = row.commands; });
    }
    constexpr Row required_for(std::uint32_t mask) const
    {
        return changed([=](OptionRow& row) { row.required = mask; });
    }
    constexpr Row old(std::string_view names) const
    {
        return changed([=](OptionRow& row) { row.deprecated = names; });
    }
    constexpr Row depends(std::string_view text) const
    {
        return changed([=](OptionRow& row) { row.depends = text; });
    }
    constexpr Row tunes() const
    {
        return changed([](OptionRow& row) { row.support = Support::tunes; });
    }
    constexpr Row refused() const
    {
        return changed([](OptionRow& row) { row.support = Support::refused; });
    }
    constexpr Row but_built(std::string_view values) const
    {
        return changed([=](OptionRow& row) { row.built_values = values; });
    }
    constexpr Row of(Group owner) const
    {
        return changed([=](OptionRow& row) { row.group = owner; });
    }
};

using Text = std::string_view;

constexpr Row boolean(Text name, std::uint32_t commands, Text by_default, Text meaning)
{
    return Row(OptionType::boolean, name, commands).with(by_default, "y|n", meaning);
}
constexpr Row integer(Text name, std::uint32_t commands, Text by_default, Text range, Text meaning)
{
    return Row(OptionType::integer, name, commands).with(by_default, range, meaning);
}
constexpr Row size(Text name, std::uint32_t commands, Text by_default, Text range, Text meaning)
{
    return Row(OptionType::size, name, commands).with(by_default, range, meaning);
}
constexpr Row time(Text name, std::uint32_t commands, Text by_default, Text range, Text meaning)
{
    return Row(OptionType::time, name, commands).with(by_default, range, meaning);
}
constexpr Row path(Text name, std::uint32_t commands, Text by_default, Text meaning)
{
    return Row(OptionType::path, name, commands).with(by_default, "", meaning);
}
constexpr Row string(Text name, std::uint32_t commands, Text by_default, Text meaning)
{
    return Row(OptionType::string, name, commands).with(by_default, "", meaning);
}
constexpr Row choice(Text name, std::uint32_t commands, Text by_default, Text words, Text meaning)
{
    return Row(OptionType::string_id, name, commands).with(by_default, words, meaning);
}
constexpr Row list(Text name, std::uint32_t commands, Text meaning)
{
    return Row(OptionType::list, name, commands).with("", "", meaning);
}
constexpr Row hash(Text name, std::uint32_t commands, Text meaning)
{
    return Row(OptionType::hash, name, commands).with("", "", meaning);
}

} // namespace pgstrata::config::rows
