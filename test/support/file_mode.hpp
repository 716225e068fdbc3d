// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <string>

namespace pgstrata::test {

// The permissions of a file, of a link itself.
inline unsigned mode_of(const std::string& path)
{
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_mode & 07777U;
}

} // namespace pgstrata::test
