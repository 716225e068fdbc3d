// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/catalog.hpp"
#include "pgstrata/repository/damage.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Looks whether backups can be restored, as far as their manifests, the packs that are there and
// the records of verify tell: before others are removed in their favour. One thread.
class BackupFlaws : NonCopyable {
public:
    // `repository` outlives it. Takes the damage that verify has found from the records as they are
    // now; `labels` (ascending) are all backups that are there.
    BackupFlaws(const repository::Repository& repository,
                std::string stanza,
                const std::vector<std::string>& labels);

    // Why the backup cannot be restored; empty when nothing speaks against it. Of a full all of its
    // manifest is read. A backup is looked at once. Throws when the repository does not answer.
    const std::string& find(const repository::BackupSummary& backup);

private:
    std::string look(const repository::BackupSummary& backup);
    std::string look_at_packs(const std::vector<repository::PackInfo>& packs);
    const std::map<std::uint32_t, std::uint64_t>& sizes_of_packs(const std::string& label);

    const repository::Repository& repository_;
    std::string stanza_;
    repository::Damage damage_;
    std::map<std::string, std::string> found_; // by label
    std::map<std::string, std::map<std::uint32_t, std::uint64_t>> sizes_;
};

} // namespace pgstrata::engine
