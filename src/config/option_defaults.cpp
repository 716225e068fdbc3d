// SPDX-License-Identifier: PostgreSQL
#include "config/option_defaults.hpp"

#include "config/option_text.hpp"

#include <array>

namespace pgstrata::config {

namespace {

struct LinkDefault {
    std::string_view option;
    std::string_view text;
};
constexpr std::array kLinkDefaults = {
    LinkDefault{"lock-path", "/tmp/pgbackrest"},
    LinkDefault{"log-path", "/var/log/pgbackrest"},
    LinkDefault{"repo-path", "/var/lib/pgbackrest"},
    LinkDefault{"spool-path", "/var/spool/pgbackrest"},
};

} // namespace

std::string_view
default_text_for(const OptionRow& row, const CommandRow& command, bool is_pgbackrest_link)
{
    if (is_pgbackrest_link) {
        for (const LinkDefault& other : kLinkDefaults) {
            if (other.option == row.name) {
                return other.text;
            }
        }
    }
    return text_for_command(row.default_value, command.name);
}

} // namespace pgstrata::config
