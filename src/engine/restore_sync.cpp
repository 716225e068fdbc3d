// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_sync.hpp"

#include "pgstrata/util/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <set>

namespace pgstrata::engine {

std::string kernel_release()
{
    utsname system{};
    return ::uname(&system) == 0 ? system.release : "";
}

FileSync file_sync_for(std::string_view kernel_release)
{
    constexpr std::pair<unsigned, unsigned> kFirstThatTells = {5, 8};
    const char* const end = kernel_release.data() + kernel_release.size();
    std::pair<unsigned, unsigned> version;
    const auto [dot, failure] = std::from_chars(kernel_release.data(), end, version.first);
    const bool is_known = failure == std::errc() && dot != end && *dot == '.' &&
                          std::from_chars(dot + 1, end, version.second).ec == std::errc();
    return is_known && version >= kFirstThatTells ? FileSync::with_filesystem : FileSync::each;
}

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
