// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>
#include <string>

namespace pgstrata {

// Reads a large file once without making the page cache its own: stretches that are mostly cached
// are taken from there, all others are read past the cache, where the filesystem can. That leaves a
// server on the same host what it has cached, and costs less. Any thread.
class GentleReader : NonCopyable {
public:
    // `fd` is open for reading and outlives the reader; `path` is for messages.
    GentleReader(int fd, std::string path);
    ~GentleReader();

    // Fills `out` from `offset` on; returns fewer bytes only at the end of the file. Only stretches
    // on borders of Buffer::kAlignment can go past the cache. Throws Error(file_read).
    std::size_t read(std::uint64_t offset, MutableBytes out) const;

private:
    bool is_cached(std::uint64_t offset, std::size_t size) const;

    int fd_;
    std::string path_;
    FileDescriptor direct_;   // closed where the filesystem cannot
    void* mapping_ = nullptr; // never touched, only asked what of it is in memory
    std::size_t mapped_ = 0;  // bytes
};

} // namespace pgstrata
