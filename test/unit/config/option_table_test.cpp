// SPDX-License-Identifier: PostgreSQL
#include "config/option_name.hpp"
#include "config/option_text.hpp"
#include "config/value.hpp"
#include "unit/config/fixture.hpp"

#include "pgstrata/config/option_table.hpp"

#include <set>

namespace pgstrata::test {

using config::CommandRow;
using config::OptionRow;

TEST_CASE("commands stand in the order of their numbers and names", "[config]")
{
    const auto table = config::command_table();

    REQUIRE(table.size() == config::kCommands);
    for (std::size_t i = 0; i < table.size(); ++i) {
        CHECK(static_cast<std::size_t>(table[i].id) == i);
        CHECK(config::find_command(table[i].name) == &table[i]);
        CHECK(table[i].minimum_parameters <= table[i].maximum_parameters);
        CHECK((table[i].maximum_parameters > 0) == !table[i].parameter_names.empty());
        if (i > 0) {
            CHECK(table[i - 1].name < table[i].name);
        }
    }
    CHECK(config::find_command("back") == nullptr);
}

TEST_CASE("commands whose product is their output keep it pure", "[config]")
{
    std::set<std::string_view> names;
    for (const CommandRow& row : config::command_table()) {
        if (row.stdout_is_product) {
            names.insert(row.name);
        }
    }
    CHECK(names ==
          std::set<std::string_view>{"help", "info", "repo-get", "repo-ls", "verify", "version"});
}

TEST_CASE("the table has every option of the interface and a few of its own", "[config]")
{
    CHECK(config::option_table().size() == 199 + 18);
    for (const char* name : {"change-tracking",
                             "depth",
                             "from",
                             "lock-wait",
                             "pin",
                             "repo-cipher-pass-command",
                             "repo-cipher-pass-file",
                             "repo-pack-size",
                             "repo-retention-keep",
                             "repo-retention-manual",
                             "repo-retention-pitr",
                             "repo-retention-schedule",
                             "repo-s3-storage-class",
                             "retain",
                             "sample",
                             "schedule",
                             "to",
                             "unpin"}) {
        CHECK(config::find_option(name) != nullptr);
    }
    CHECK(config::find_option("repo1-path") == nullptr);
    CHECK(config::find_option("") == nullptr);
    CHECK(config::find_option("zzz") == nullptr);
}

TEST_CASE("every row is complete", "[config]")
{
    for (const OptionRow& row : config::option_table()) {
        INFO(row.name);
        CHECK(config::find_option(row.name) == &row);
        CHECK(row.name.size() <= config::kMaximumNameLength);
        CHECK_FALSE(row.meaning.empty());
        CHECK(row.meaning.back() == '.');
        CHECK((row.required & ~row.commands) == 0);
        CHECK((row.internal_commands & ~row.commands) == 0);
        CHECK(row.allows_reset == (row.section != config::Section::command_line));
        if (row.type == config::OptionType::string_id) {
            CHECK_FALSE(row.allowed.empty());
        }
        if (row.group != config::Group::none) {
            CHECK(row.name.starts_with(config::group_name(row.group)));
        }
    }
}

TEST_CASE("what an option depends on exists, is valid where it is, and depends on it in no circle",
          "[config]")
{
    for (const OptionRow& row : config::option_table()) {
        for (const CommandRow& command : config::command_table()) {
            const OptionRow* next = &row;
            int steps = 0;
            while (next != nullptr && (row.commands & config::command_bit(command.id)) != 0) {
                INFO(row.name << " for " << command.name);
                const auto text = config::text_for_command(next->depends, command.name);
                if (text.empty()) {
                    break;
                }
                next = config::find_option(config::parse_dependency(text).option);
                REQUIRE(next != nullptr);
                CHECK((next->commands & config::command_bit(command.id)) != 0);
                CHECK((next->group == config::Group::none || next->group == row.group));
                REQUIRE(++steps < 5);
            }
        }
    }
}

TEST_CASE("every default of a closed list is in it and every default can be parsed", "[config]")
{
    for (const OptionRow& row : config::option_table()) {
        for (const CommandRow& command : config::command_table()) {
            std::string_view text = config::text_for_command(row.default_value, command.name);
            if (text.empty() || text == "auto" || config::depends_on_key(text)) {
                continue;
            }
            INFO(row.name << " for " << command.name);
            CHECK_NOTHROW(config::built_in_value(row, text));
            if (row.type == config::OptionType::string_id) {
                CHECK(config::has_part(
                    config::text_for_command(row.allowed, command.name), '|', text));
            }
        }
    }
}

TEST_CASE("old names are not names of other options", "[config]")
{
    std::set<std::string> seen;
    for (const OptionRow& row : config::option_table()) {
        std::string_view names = row.deprecated;
        while (!names.empty()) {
            const std::string_view name = config::next_part(names, ',');
            CHECK(seen.emplace(name).second);
            const OptionRow* other = config::find_option(name);
            CHECK((other == nullptr || other == &row));
        }
    }
}

} // namespace pgstrata::test
