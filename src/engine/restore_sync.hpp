// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/restore_tree.hpp"

#include "pgstrata/engine/place.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstrata::engine {

// What uname(2) says.
std::string kernel_release();
// Before Linux 5.8 no sync of a filesystem tells that the disk failed to take something. A release
// of unknown form counts as older.
FileSync file_sync_for(std::string_view kernel_release);

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
