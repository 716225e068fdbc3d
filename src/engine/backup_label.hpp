// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/layout.hpp"
#include "pgstrata/repository/lease.hpp"

#include <memory>
#include <string>

namespace pgstrata::engine {

struct ClaimedLabel {
    std::string label;
    std::unique_ptr<repository::Lease> lease;
};

// Takes a label that is newer than all others of the stanza. `prior` is the label of the backup it
// builds on, empty for a full. Throws Error(clock) when the newest label is of a time to come.
ClaimedLabel claim_new_label(const repository::Repository& repository,
                             const std::string& stanza,
                             repository::BackupType type,
                             const std::string& prior);

} // namespace pgstrata::engine
