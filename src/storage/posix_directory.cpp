// SPDX-License-Identifier: PostgreSQL
#include "storage/posix_directory.hpp"

#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

namespace pgstrata::storage {

namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

// The whole path in one step where the kernel can do that; any failure leaves it to the walk to say
// why.
FileDescriptor open_beneath([[maybe_unused]] int root, [[maybe_unused]] const std::string& path)
{
#if defined(SYS_openat2) && __has_include(<linux/openat2.h>)
    open_how how{};
    how.flags = static_cast<unsigned>(kDirectoryFlags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    return FileDescriptor(
        static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
#else
    return {};
#endif
}

bool is_link(int directory, const std::string& name)
{
    struct stat status {};
    return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISLNK(status.st_mode);
}

// False when that cannot be told.
bool has_entries(int directory_fd)
{
    FileDescriptor fd(::fcntl(directory_fd, F_DUPFD_CLOEXEC, 0));
    const Directory directory(fd.is_open() ? ::fdopendir(fd.get()) : nullptr);
    if (!directory) {
        return false;
    }
    fd.release();
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            return true;
        }
    }
    return false;
}

[[noreturn]] void
refuse(int directory, const std::string& part, const std::string& here, int number)
{
    if (is_link(directory, part)) {
        throw Error(ErrorCode::path_open,
                    fmt::format("unable to write through '{}': it is a link", here),
                    "links below the root of a repository are not followed; put a directory or a "
                    "mount point there.");
    }
    raise_errno(ErrorCode::path_open, number, fmt::format("open directory '{}'", here));
}

} // namespace

void sync_open_directory(int fd, const std::string& path)
{
    if (::fsync(fd) != 0 && errno != EINVAL) {
        raise_errno(ErrorCode::path_sync, errno, fmt::format("sync directory '{}'", path));
    }
}

void apply_mode(int fd, unsigned mode, const std::string& path)
{
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        raise_errno(ErrorCode::file_info, errno, fmt::format("get the status of '{}'", path));
    }
    if ((status.st_mode & 0777U) == mode) {
        return;
    }
    // Filesystems without permissions of their own refuse; there is nothing to be exact about then.
    if (::fchmod(fd, (status.st_mode & 07000U) | mode) != 0 && errno != EPERM && errno != ENOTSUP) {
        raise_errno(ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", path));
    }
}

PosixDirectories::PosixDirectories(PosixOptions options) : options_(std::move(options))
{
    if (!options_.root.starts_with('/')) {
        raise(ErrorCode::parameter_invalid,
              "the storage root '{}' is not an absolute path",
              options_.root);
    }
    options_.root = normal_path(options_.root);
}

std::string PosixDirectories::absolute(std::string_view path) const
{
    return options_.root == "/" ? "/" + std::string(path) : join_path(options_.root, path);
}

FileDescriptor PosixDirectories::find(std::string_view path) const
{
    return walk(path, false);
}

FileDescriptor PosixDirectories::make(std::string_view path) const
{
    // Nobody puts anything into a directory before that is durable; who made an empty one may have
    // died before its sync, or not have come to it.
    if (auto directory = walk(path, false); directory.is_open() && has_entries(directory.get())) {
        return directory;
    }
    const std::lock_guard lock(creating_);
    return walk(path, true);
}

void PosixDirectories::wait_for_creations() const
{
    const std::lock_guard lock(creating_);
}

FileDescriptor PosixDirectories::make_root() const
{
    for (std::size_t end = options_.root.find('/', 1);; end = options_.root.find('/', end + 1)) {
        const std::string part = options_.root.substr(0, end);
        if (::mkdir(part.c_str(), options_.directory_mode) == 0) {
            const auto made = open_file(part, kDirectoryFlags);
            apply_mode(made.get(), options_.directory_mode, part);
            sync_directory(parent_path(part));
        } else if (errno != EEXIST) {
            raise_errno(ErrorCode::path_create, errno, fmt::format("create directory '{}'", part));
        }
        if (end == std::string::npos) {
            return open_file(options_.root, kDirectoryFlags);
        }
    }
}

FileDescriptor PosixDirectories::walk(std::string_view path, bool create) const
{
    FileDescriptor current(::open(options_.root.c_str(), kDirectoryFlags));
    if (!current.is_open()) {
        if (errno != ENOENT) {
            raise_errno(
                ErrorCode::path_open, errno, fmt::format("open directory '{}'", options_.root));
        }
        if (!create) {
            return {};
        }
        current = make_root();
    }
    if (path.empty()) {
        return current;
    }
    if (!create) {
        if (auto whole = open_beneath(current.get(), std::string(path)); whole.is_open()) {
            return whole;
        }
    }
    for (std::size_t begin = 0; begin < path.size() && current.is_open();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        current = enter(current.get(), path.substr(0, end), create);
        begin = end + 1;
    }
    return current;
}

FileDescriptor PosixDirectories::enter(int parent, std::string_view path, bool create) const
{
    const std::string part(file_name(path));
    const std::string here = absolute(path);
    const bool made = create && ::mkdirat(parent, part.c_str(), options_.directory_mode) == 0;
    if (create && !made && errno != EEXIST) {
        raise_errno(ErrorCode::path_create, errno, fmt::format("create directory '{}'", here));
    }
    FileDescriptor next(::openat(parent, part.c_str(), kDirectoryFlags | O_NOFOLLOW));
    if (!next.is_open()) {
        const int number = errno;
        const bool is_absent = number == ENOENT || (number == ENOTDIR && !is_link(parent, part));
        if (!create && is_absent) {
            return {};
        }
        refuse(parent, part, here, number);
    }
    if (made) {
        apply_mode(next.get(), options_.directory_mode, here);
    }
    // Also when another process was faster: it may not have come to its sync yet.
    if (create) {
        sync_open_directory(parent, parent_path(here));
    }
    return next;
}

} // namespace pgstrata::storage
