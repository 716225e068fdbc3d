// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/verify.hpp"

namespace pgstrata::engine {

std::uint64_t VerifyReport::findings() const noexcept
{
    std::uint64_t count = faults.size();
    for (const VerifiedArchive& archive : archives) {
        count += archive.faults.size() + archive.gaps.size() + archive.lost_histories.size();
    }
    for (const VerifiedBackup& backup : backups) {
        count +=
            backup.faults.size() + (backup.files - backup.valid_files) + backup.missing_wal.size();
        // Whatever it is, it is wrong.
        const bool is_named = !backup.faults.empty() || backup.files != backup.valid_files ||
                              !backup.missing_wal.empty();
        const bool is_wrong =
            backup.state != BackupState::valid && backup.state != BackupState::in_progress;
        count += is_wrong && !is_named ? 1 : 0;
    }
    return count;
}

} // namespace pgstrata::engine
