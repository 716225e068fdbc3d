// SPDX-License-Identifier: PostgreSQL
#include "engine/arriving_file.hpp"

#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace pgstrata::engine {

namespace {

constexpr std::string_view kArrivingSuffix = ".pgstrata.tmp";
constexpr unsigned kMode = 0600;

// Whether the file is ours alone, and still the one with that name: whoever had it before us may
// have put it in place.
bool take_over(int fd, const std::string& path)
{
    struct stat opened {};
    struct stat named {};
    return ::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &opened) == 0 &&
           ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino && ::ftruncate(fd, 0) == 0;
}

} // namespace

ArrivingFile::ArrivingFile(const std::string& destination)
    : destination_(destination), path_(destination + std::string(kArrivingSuffix)),
      file_(open_file(path_, O_WRONLY | O_CREAT | O_NOFOLLOW, kMode))
{
    if (!take_over(file_.get(), path_)) {
        path_ = fmt::format("{}.{}{}", destination, random_tag(), kArrivingSuffix);
        file_ = open_file(path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kMode);
    }
}

ArrivingFile::~ArrivingFile()
{
    if (file_.is_open()) {
        ::unlink(path_.c_str());
    }
}

void ArrivingFile::place()
{
    if (::rename(path_.c_str(), destination_.c_str()) != 0) {
        raise_errno(
            ErrorCode::file_move, errno, fmt::format("move '{}' to '{}'", path_, destination_));
    }
    file_.close(destination_);
}

} // namespace pgstrata::engine
