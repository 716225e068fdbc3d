// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/file_status.hpp"

#include "pgstrata/util/error.hpp"

#include <cerrno>
#include <limits>

namespace pgstrata {

FileStatus file_status(int fd, const std::string& path)
{
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
    }
    return {static_cast<std::uint64_t>(status.st_size), modified_at(status)};
}

UnixNanoseconds modified_at(const struct stat& status) noexcept
{
    constexpr std::int64_t kNanoseconds = 1'000'000'000;
    constexpr auto kLatest = std::numeric_limits<std::int64_t>::max();
    const std::int64_t seconds = status.st_mtim.tv_sec;
    if (seconds >= kLatest / kNanoseconds || seconds <= -(kLatest / kNanoseconds)) {
        return seconds > 0 ? kLatest : -kLatest;
    }
    return seconds * kNanoseconds + status.st_mtim.tv_nsec;
}

} // namespace pgstrata
