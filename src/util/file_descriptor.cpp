// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/file_descriptor.hpp"

#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

namespace pgstrata {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept
{
    if (this != &other) {
        if (is_open()) {
            ::close(fd_);
        }
        fd_ = other.release();
    }
    return *this;
}

FileDescriptor::~FileDescriptor()
{
    if (is_open()) {
        ::close(fd_);
    }
}

void FileDescriptor::close(const std::string& path)
{
    if (::close(release()) != 0) {
        raise_errno(ErrorCode::file_close, errno, fmt::format("close '{}'", path));
    }
}

FileDescriptor open_file(const std::string& path, int flags, unsigned mode)
{
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
    if (fd < 0) {
        const int reason = errno;
        raise_errno(reason == ENOENT ? ErrorCode::file_missing : ErrorCode::file_open,
                    reason,
                    fmt::format("open '{}'", path));
    }
    return FileDescriptor(fd);
}

std::optional<FileDescriptor> open_if_there(const std::string& path)
{
    try {
        return open_file(path, O_RDONLY);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_missing) {
            return std::nullopt;
        }
        throw;
    }
}

int descriptor_shortage(std::size_t count)
{
    std::vector<FileDescriptor> probes;
    while (probes.size() < count) {
        probes.emplace_back(::open("/", O_PATH | O_CLOEXEC));
        if (!probes.back().is_open()) {
            return errno == EMFILE || errno == ENFILE ? errno : 0;
        }
    }
    return 0;
}

std::size_t read_fully(int fd, MutableBytes out, const std::string& path)
{
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t count = ::read(fd, out.data() + done, out.size() - done);
        if (count == 0) {
            break;
        }
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            raise_errno(ErrorCode::file_read, errno, fmt::format("read '{}'", path));
        }
        done += static_cast<std::size_t>(count);
    }
    return done;
}

std::size_t pread_fully(int fd, MutableBytes out, std::uint64_t offset, const std::string& path)
{
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t count =
            ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
        if (count == 0) {
            break;
        }
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            raise_errno(
                ErrorCode::file_read, errno, fmt::format("read '{}' at {}", path, offset + done));
        }
        done += static_cast<std::size_t>(count);
    }
    return done;
}

void write_fully(int fd, ByteView bytes, const std::string& path)
{
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            raise_errno(ErrorCode::file_write, errno, fmt::format("write '{}'", path));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
}

void pwrite_fully(int fd, ByteView bytes, std::uint64_t offset, const std::string& path)
{
    while (!bytes.empty()) {
        const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            raise_errno(
                ErrorCode::file_write, errno, fmt::format("write '{}' at {}", path, offset));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

void sync_file(int fd, const std::string& path)
{
    if (::fsync(fd) != 0) {
        raise_errno(ErrorCode::file_sync, errno, fmt::format("sync '{}'", path));
    }
}

void sync_directory(const std::string& path)
{
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("open directory '{}'", path));
    }
    const FileDescriptor directory(fd);
    // EINVAL: a filesystem whose directories need no sync of their own.
    if (::fsync(fd) != 0 && errno != EINVAL) {
        raise_errno(ErrorCode::path_sync, errno, fmt::format("sync directory '{}'", path));
    }
}

std::vector<std::string> make_directories(const std::string& path, unsigned mode)
{
    std::vector<std::string> made;
    for (auto end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), mode) == 0) {
            made.push_back(part);
        } else if (errno != EEXIST) {
            raise_errno(ErrorCode::path_create, errno, fmt::format("create directory '{}'", part));
        }
        if (end == std::string::npos) {
            return made;
        }
    }
}

std::string read_text_file(const std::string& path, std::size_t limit)
{
    constexpr std::size_t kStep = 65536;
    const FileDescriptor file = open_file(path, O_RDONLY);
    struct stat status {};
    const auto size =
        ::fstat(file.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
    // A byte more than there should be shows the end; files of /proc say that they are empty.
    std::string text(std::min(size == 0 ? kStep : size, limit) + 1, '\0');
    std::size_t done = 0;
    for (;;) {
        done += read_fully(file.get(), std::as_writable_bytes(std::span(text).subspan(done)), path);
        if (done > limit) {
            raise(ErrorCode::file_read, "file '{}' is larger than {} bytes", path, limit);
        }
        if (done < text.size()) {
            text.resize(done);
            return text;
        }
        text.resize(done + kStep);
    }
}

void write_file_durably(const std::string& path, ByteView bytes, unsigned mode)
{
    const std::string temporary = fmt::format("{}.{}.pgstrata.tmp", path, random_tag());
    try {
        FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
        if (::fchmod(file.get(), static_cast<mode_t>(mode)) != 0) {
            raise_errno(
                ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", temporary));
        }
        write_fully(file.get(), bytes, temporary);
        sync_file(file.get(), temporary);
        file.close(temporary);
        if (::rename(temporary.c_str(), path.c_str()) != 0) {
            raise_errno(
                ErrorCode::file_move, errno, fmt::format("move '{}' to '{}'", temporary, path));
        }
    } catch (const Error&) {
        ::unlink(temporary.c_str());
        throw;
    }
    const std::string parent = parent_path(path);
    sync_directory(parent.empty() ? "." : parent);
}

} // namespace pgstrata
