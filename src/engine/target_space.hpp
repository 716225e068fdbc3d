// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_survey.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <sys/types.h>

#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace pgstrata::engine {

// Adds up by filesystem what a restore needs. Directories need not exist yet: they will be where
// the nearest one above is. A link below a root counts for nothing, since it is replaced.
class TargetSpace : NonCopyable {
public:
    explicit TargetSpace(const std::vector<std::string>& roots);

    void need(const std::string& directory, std::uint64_t bytes);
    void reuse(const std::string& directory, std::uint64_t bytes);
    // Those whose room is known.
    std::vector<TargetFilesystem> filesystems() const;

private:
    TargetFilesystem* find(const std::string& directory);
    std::optional<dev_t> device_of(const std::string& directory);
    std::optional<dev_t> look_up(const std::string& directory);

    std::unordered_set<std::string> roots_;
    std::unordered_map<std::string, std::optional<dev_t>> devices_;
    std::map<dev_t, TargetFilesystem> filesystems_;
};

} // namespace pgstrata::engine
