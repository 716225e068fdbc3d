// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/error.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstrata {

// Owns an open file descriptor; closing errors are only seen through close().
class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept;
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    ~FileDescriptor();

    int get() const noexcept { return fd_; }
    bool is_open() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }
    // Closes and throws Error(file_close) when the kernel reports a late failure.
    void close(const std::string& path);

private:
    int fd_ = -1;
};

// open(2) with O_CLOEXEC. Throws Error(file_missing) for ENOENT, else Error(file_open).
FileDescriptor open_file(const std::string& path, int flags, unsigned mode = 0640);
// For reading; nullopt for ENOENT.
std::optional<FileDescriptor> open_if_there(const std::string& path);

// EMFILE or ENFILE when `count` more files cannot be open at once for want of descriptors, else 0:
// for where a library does not say why it failed.
int descriptor_shortage(std::size_t count);

// Fills `out` from the descriptor's position or `offset`; returns fewer bytes only at the end of
// the file.
std::size_t read_fully(int fd, MutableBytes out, const std::string& path);
std::size_t pread_fully(int fd, MutableBytes out, std::uint64_t offset, const std::string& path);
void write_fully(int fd, ByteView bytes, const std::string& path);
void pwrite_fully(int fd, ByteView bytes, std::uint64_t offset, const std::string& path);

void sync_file(int fd, const std::string& path); // Error(file_sync)
void sync_directory(const std::string& path);    // Error(path_sync)

// Makes a directory and those above it that are missing. Returns what it made, outermost first.
// Throws Error(path_create).
std::vector<std::string> make_directories(const std::string& path, unsigned mode);

// The whole of a local file of at most `limit` bytes. Throws Error(file_missing) or
// Error(file_read).
std::string read_text_file(const std::string& path, std::size_t limit = 16U << 20U);
// Writes a local file through a temporary name: the file is there whole and synced, or as before.
void write_file_durably(const std::string& path, ByteView bytes, unsigned mode = 0640);

} // namespace pgstrata
