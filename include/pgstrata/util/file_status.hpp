// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/time.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace pgstrata {

struct FileStatus {
    std::uint64_t size = 0; // bytes
    UnixNanoseconds mtime = 0;
};

// Of an open file. Throws Error(file_info) that names `path`.
FileStatus file_status(int fd, const std::string& path);

// The time of the last change; one that no filesystem should have is the earliest or the latest.
UnixNanoseconds modified_at(const struct stat& status) noexcept;

} // namespace pgstrata
