// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/posix.hpp"
#include "pgstrata/util/file_descriptor.hpp"

#include <mutex>
#include <string>
#include <string_view>

namespace pgstrata::storage {

// The directories below a root. They are opened part by part without following a link, so that
// nobody who may write below the root can lead a write out of it; the root itself may be a link.
class PosixDirectories : NonCopyable {
public:
    explicit PosixDirectories(PosixOptions options);

    const PosixOptions& options() const noexcept { return options_; }
    // The path of `path` for messages and for reading.
    std::string absolute(std::string_view path) const;

    // Opens the directory `path` ("" is the root) for writing in it; not open when it is missing.
    FileDescriptor find(std::string_view path) const;
    // The same, and makes what is missing, durably.
    FileDescriptor make(std::string_view path) const;
    // Waits until directories that other threads are just making are durable.
    void wait_for_creations() const;

private:
    FileDescriptor walk(std::string_view path, bool create) const;
    FileDescriptor enter(int parent, std::string_view path, bool create) const;
    FileDescriptor make_root() const;

    PosixOptions options_;
    mutable std::mutex creating_;
};

// fsync of a directory; filesystems that have no such thing (EINVAL) are taken as they are.
void sync_open_directory(int fd, const std::string& path);
// Gives the open file the permission bits `mode` when the umask or an ACL made them something else.
void apply_mode(int fd, unsigned mode, const std::string& path);

} // namespace pgstrata::storage
