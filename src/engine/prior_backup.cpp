// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/prior_backup.hpp"

#include "engine/pack_check.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgstrata::engine {

using repository::BackupSummary;
using repository::BackupType;

namespace {

const BackupSummary* find_last(const std::vector<BackupSummary>& backups,
                               BackupType wanted,
                               repository::ArchiveId archive_id)
{
    const auto found = std::find_if(backups.rbegin(), backups.rend(), [&](const BackupSummary& b) {
        return b.archive_id == archive_id &&
               (wanted == BackupType::incr || b.type == BackupType::full);
    });
    return found == backups.rend() ? nullptr : &*found;
}

} // namespace

std::string find_fault(const repository::Repository& repository,
                       const std::string& stanza,
                       const std::string& label)
{
    try {
        repository::ManifestReader manifest(repository, stanza, label);
        check_packs(repository, stanza, manifest.head().packs);
        for (repository::ManifestFile file; manifest.next(file);) {
        }
    } catch (const Error& error) {
        return fmt::format("backup {} cannot be built on ({})", label, error.what());
    }
    return {};
}

PriorChoice choose_prior(const std::vector<BackupSummary>& backups,
                         BackupType wanted,
                         repository::ArchiveId archive_id)
{
    if (wanted == BackupType::full) {
        return {};
    }
    const BackupSummary* const prior = find_last(backups, wanted, archive_id);
    if (prior == nullptr) {
        return {BackupType::full, nullptr, "no prior backup exists"};
    }
    for (const std::string& label : prior->references) {
        if (std::ranges::find(backups, label, &BackupSummary::label) == backups.end()) {
            return {
                BackupType::full,
                nullptr,
                fmt::format("backup {} refers to backup {}, which is gone", prior->label, label)};
        }
    }
    return {wanted, prior, {}};
}

} // namespace pgstrata::engine
