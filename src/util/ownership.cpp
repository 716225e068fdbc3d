// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/ownership.hpp"

#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pgstrata {

namespace {

constexpr unsigned kFileMode = 0640;

// What cannot be given away stays root's, which the next command of the heir tells.
void give(int fd, const Owner& heir)
{
    static_cast<void>(::fchown(fd, heir.user, heir.group) == 0);
}

bool belongs_to_root(int fd)
{
    struct stat status {};
    return ::fstat(fd, &status) == 0 && status.st_uid == 0;
}

} // namespace

bool is_reliable(const Owner& owner, std::uint32_t user)
{
    return user == 0 || owner.user == 0 || owner.user == user || ::group_member(owner.group) != 0;
}

std::optional<Owner> heir_of(const std::string& directory, std::uint32_t user)
{
    if (user != 0) {
        return std::nullopt;
    }
    struct stat status {};
    std::string place = directory;
    while (place != "/" && ::stat(place.c_str(), &status) != 0) {
        place = join_path("/", parent_path(place));
    }
    if (place == "/" || status.st_uid == 0) {
        return std::nullopt;
    }
    return Owner{status.st_uid, status.st_gid};
}

FileDescriptor open_for_heir(const std::string& path, int flags)
{
    // Only what is made here is given away: a file that is there may be another name of one that
    // is not meant.
    FileDescriptor made(::open(path.c_str(), flags | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode));
    if (!made.is_open()) {
        return open_file(path, flags | O_CREAT | O_NOFOLLOW, kFileMode);
    }
    if (const auto heir = heir_of(parent_path(path), ::geteuid())) {
        give(made.get(), *heir);
    }
    return made;
}

bool leave_to_heir(const std::vector<std::string>& directories, const std::string& home)
{
    const auto heir = heir_of(home, ::geteuid());
    if (!heir) {
        return false;
    }
    // From the innermost: nobody can exchange what lies in a directory that is still root's.
    for (auto path = directories.rbegin(); path != directories.rend(); ++path) {
        const FileDescriptor directory(
            ::open(path->c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (directory.is_open() && belongs_to_root(directory.get())) {
            give(directory.get(), *heir);
        }
    }
    return true;
}

} // namespace pgstrata
