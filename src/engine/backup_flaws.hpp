// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/expire_catalog.hpp"
#include "engine/wal_flaws.hpp"

#include "pgstrata/repository/damage.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Looks whether backups can be restored, as far as their manifests, the packs and the WAL that are
// there and the records of verify tell: before others are removed in their favour. One thread.
class BackupFlaws : NonCopyable {
public:
    // Both outlive it. Takes the damage that verify has found from the records as they are now.
    BackupFlaws(const repository::Repository& repository,
                const std::string& stanza,
                const ExpireCatalog& found);

    // Why a backup of the catalog cannot be restored; empty when nothing speaks against it. Of a
    // full all of its manifest is read. A backup is looked at once. Throws when the repository does
    // not answer.
    const std::string& find(const repository::BackupSummary& backup);

private:
    BackupFlaws(const repository::Repository& repository,
                std::string stanza,
                const ExpireCatalog& found,
                const std::vector<repository::VerifyRecord>& records);
    std::string look(const repository::BackupSummary& backup);
    std::string look_at_packs(const std::vector<repository::PackInfo>& packs);
    const std::map<std::uint32_t, std::uint64_t>& sizes_of_packs(const std::string& label);

    const repository::Repository& repository_;
    std::string stanza_;
    repository::Damage damage_;
    WalFlaws wal_;
    std::map<std::string, std::string> found_; // by label
    std::map<std::string, std::map<std::uint32_t, std::uint64_t>> sizes_;
};

} // namespace pgstrata::engine
