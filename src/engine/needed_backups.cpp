// SPDX-License-Identifier: PostgreSQL
#include "engine/needed_backups.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgstrata::engine {

bool shares_full(const std::string& first, const std::string& second)
{
    const auto parsed = repository::parse_backup_label(second);
    return parsed && first.starts_with(parsed->full);
}

NeededBackups::NeededBackups(std::vector<repository::BackupSummary> backups,
                             std::vector<std::string> unknown)
    : backups_(std::move(backups)), unknown_(std::move(unknown))
{
}

NeededBackups NeededBackups::read(const repository::Repository& repository,
                                  const std::string& stanza)
{
    std::vector<std::string> unknown;
    const auto add_unknown = [&](const std::string& label, const Error&) {
        unknown.push_back(label);
    };
    auto backups = repository::list_backups(repository, stanza, add_unknown);
    return {std::move(backups), std::move(unknown)};
}

std::string NeededBackups::find_need(const std::string& label) const
{
    const auto refers = [&](const repository::BackupSummary& backup) {
        return backup.prior == label ||
               std::ranges::find(backup.references, label) != backup.references.end();
    };
    if (const auto found = std::ranges::find_if(backups_, refers); found != backups_.end()) {
        return fmt::format("backup {} builds on it", found->label);
    }
    const auto may_need = [&](const std::string& other) {
        return shares_full(label, other) && other > label;
    };
    if (const auto found = std::ranges::find_if(unknown_, may_need); found != unknown_.end()) {
        return fmt::format("backup {} may build on it", *found);
    }
    return {};
}

} // namespace pgstrata::engine
