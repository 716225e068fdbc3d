// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/config/option_table.hpp"

#include "config/cluster_option_rows.hpp"
#include "config/general_option_rows.hpp"
#include "config/option_rows.hpp"
#include "config/repo_option_rows.hpp"

#include <algorithm>
#include <array>

namespace pgstrata::config {

namespace {

constexpr auto make_table()
{
    std::array<OptionRow,
               rows::kGeneralRows.size() + rows::kRepoRows.size() + rows::kClusterRows.size()>
        table;
    auto* next = table.begin();
    for (const rows::Row& row : rows::kGeneralRows) {
        *next++ = row;
    }
    for (const rows::Row& row : rows::kRepoRows) {
        *next++ = row.of(Group::repo);
    }
    for (const rows::Row& row : rows::kClusterRows) {
        *next++ = row.of(Group::pg);
    }
    std::sort(table.begin(), table.end(), [](const OptionRow& left, const OptionRow& right) {
        return left.name < right.name;
    });
    return table;
}

constexpr auto kOptionTable = make_table();

constexpr bool has_unique_names()
{
    for (std::size_t i = 1; i < kOptionTable.size(); ++i) {
        if (kOptionTable[i - 1].name >= kOptionTable[i].name) {
            return false;
        }
    }
    return true;
}
static_assert(has_unique_names());

} // namespace

std::span<const OptionRow> option_table() noexcept
{
    return kOptionTable;
}

const OptionRow* find_option(std::string_view name) noexcept
{
    const auto* found = std::lower_bound(
        kOptionTable.begin(),
        kOptionTable.end(),
        name,
        [](const OptionRow& row, std::string_view wanted) { return row.name < wanted; });
    return found != kOptionTable.end() && found->name == name ? found : nullptr;
}

} // namespace pgstrata::config
