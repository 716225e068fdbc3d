// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/restore_tree.hpp"

#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pgstrata::engine {

// The filesystems that directories are on, each opened once, since a cluster may have more
// directories than there are descriptors. Made before anything is written: what the disk fails to
// take is told to those who were there.
class RestoreFilesystems : NonCopyable {
public:
    explicit RestoreFilesystems(const DirectoryModes& directories);

    void sync() const; // Error(file_sync)
    std::size_t count() const noexcept { return opened_.size(); }

private:
    std::vector<std::pair<std::string, FileDescriptor>> opened_;
};

} // namespace pgstrata::engine
