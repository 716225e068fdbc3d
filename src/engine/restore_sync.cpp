// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_sync.hpp"

#include "pgstrata/util/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

namespace pgstrata::engine {

RestoreFilesystems::RestoreFilesystems(const DirectoryModes& directories)
{
    std::set<dev_t> known;
    for (const auto& [path, mode] : directories) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) {
            raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
        }
        if (known.insert(status.st_dev).second) {
            opened_.emplace_back(path, open_file(path, O_RDONLY | O_DIRECTORY));
        }
    }
}

void RestoreFilesystems::sync() const
{
    for (const auto& [path, directory] : opened_) {
        if (::syncfs(directory.get()) != 0) {
            raise_errno(
                ErrorCode::file_sync, errno, fmt::format("sync the filesystem of '{}'", path));
        }
    }
}

} // namespace pgstrata::engine
