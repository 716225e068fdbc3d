// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <catch2/catch.hpp>

#include <sys/mman.h>

#include <cstddef>
#include <vector>

namespace pgstrata::test {

// How many pages of 4 KiB of the first `size` bytes of a file the page cache has.
inline std::size_t cached_pages(int fd, std::size_t size)
{
    constexpr std::size_t kCachedPage = 4096;
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(memory != MAP_FAILED);
    std::vector<unsigned char> in_core((size + kCachedPage - 1) / kCachedPage);
    REQUIRE(::mincore(memory, size, in_core.data()) == 0);
    ::munmap(memory, size);
    std::size_t count = 0;
    for (const unsigned char flags : in_core) {
        count += flags & 1U;
    }
    return count;
}

} // namespace pgstrata::test
