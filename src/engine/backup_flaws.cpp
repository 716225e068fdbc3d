// SPDX-License-Identifier: PostgreSQL
#include "engine/backup_flaws.hpp"

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/object_error.hpp"
#include "pgstrata/util/cancel.hpp"

#include <fmt/format.h>

namespace pgstrata::engine {

using repository::BackupSummary;
using repository::BackupType;
using repository::PackInfo;

BackupFlaws::BackupFlaws(const repository::Repository& repository,
                         const std::string& stanza,
                         const ExpireCatalog& found)
    : BackupFlaws(repository, stanza, found, repository::read_verify_records(repository, stanza))
{
}

BackupFlaws::BackupFlaws(const repository::Repository& repository,
                         std::string stanza,
                         const ExpireCatalog& found,
                         const std::vector<repository::VerifyRecord>& records)
    : repository_(repository), stanza_(std::move(stanza)),
      damage_(repository::known_damage(records, found.labels)),
      wal_(repository, stanza_, found.catalog.backups, records)
{
}

const std::string& BackupFlaws::find(const BackupSummary& backup)
{
    const auto known = found_.find(backup.label);
    return known != found_.end() ? known->second
                                 : found_.emplace(backup.label, look(backup)).first->second;
}

std::string BackupFlaws::look(const BackupSummary& backup)
{
    try {
        repository::ManifestReader manifest(repository_, stanza_, backup.label);
        const std::vector<PackInfo> packs = manifest.head().packs;
        repository::ManifestFile file;
        while (backup.type == BackupType::full && manifest.next(file)) {
            check_cancelled();
        }
        std::string flaw = look_at_packs(packs);
        return flaw.empty() ? wal_.find(backup) : flaw;
    } catch (const Error& error) {
        if (!repository::is_unusable(error.code())) {
            throw;
        }
        return error.what();
    }
}

std::string BackupFlaws::look_at_packs(const std::vector<PackInfo>& packs)
{
    for (const PackInfo& pack : packs) {
        const std::string path = repository::pack_path(stanza_, pack.name.label, pack.name.number);
        if (damage_.has(pack.name)) {
            return fmt::format("verify has found damage in '{}'", path);
        }
        const auto& sizes = sizes_of_packs(pack.name.label);
        const auto there = sizes.find(pack.name.number);
        if (there == sizes.end()) {
            return fmt::format("'{}' is missing", path);
        }
        if (there->second != pack.size) {
            return fmt::format("'{}' has {} bytes instead of {}", path, there->second, pack.size);
        }
    }
    return {};
}

const std::map<std::uint32_t, std::uint64_t>& BackupFlaws::sizes_of_packs(const std::string& label)
{
    const auto known = sizes_.find(label);
    if (known != sizes_.end()) {
        return known->second;
    }
    std::map<std::uint32_t, std::uint64_t> sizes;
    repository_.storage().list(
        repository::pack_path(stanza_, label), [&](const storage::EntryInfo& entry) {
            if (const auto number = repository::parse_pack_number(entry.name)) {
                sizes.emplace(*number, entry.size);
            }
        });
    return sizes_.emplace(label, std::move(sizes)).first->second;
}

} // namespace pgstrata::engine
