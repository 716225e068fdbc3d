// SPDX-License-Identifier: PostgreSQL
#include "engine/needed_backups.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/lease.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgstrata::engine {

bool contains(const std::vector<std::string>& labels, const std::string& label)
{
    return std::ranges::find(labels, label) != labels.end();
}

bool shares_full(const std::string& first, const std::string& second)
{
    const auto parsed = repository::parse_backup_label(second);
    return parsed && first.starts_with(parsed->full);
}

bool has_lost_summary(const repository::Repository& repository,
                      const std::string& stanza,
                      const std::string& label)
{
    const storage::Storage& storage = repository.storage();
    return storage.info(repository::manifest_path(stanza, label)) &&
           !repository::find_lease_turn(repository, stanza, label) &&
           !repository::has_journal(repository, stanza, label) &&
           !storage.info(repository::history_path(stanza, label));
}

void warn_of_lost_summary(const std::string& stanza, const std::string& label)
{
    log::warn("backup {} was complete and has lost its summary, it is kept with all of its family "
              "and the WAL\nHINT: restore '{}' from a copy of the repository, or remove the backup "
              "with expire --set={}",
              label,
              repository::summary_path(stanza, label),
              label);
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
    auto found = repository::read_backups(repository, stanza, add_unknown);
    for (const std::string& label : found.incomplete) {
        if (has_lost_summary(repository, stanza, label)) {
            unknown.push_back(label);
        }
    }
    return {std::move(found.backups), std::move(unknown)};
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
