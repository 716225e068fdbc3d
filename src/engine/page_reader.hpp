// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/copy.hpp"
#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgstrata::engine {

// Reads stretches of files that a server may be writing at the same moment. One thread.
class PageReader {
public:
    explicit PageReader(const CopyOptions& options) : options_(options) {}

    // Fills `out` with pages of the file from `offset` on; what the file no longer has becomes zero
    // pages. Each page is checked as the options say: one that is wrong is read again a few times,
    // and when it stays wrong its number within the file is appended to `bad_pages`; its bytes are
    // kept as they are. `first_block` is the number of the file's first page in its fork.
    void read_pages(int fd,
                    const std::string& path,
                    std::uint64_t offset,
                    std::uint32_t first_block,
                    MutableBytes out,
                    std::vector<std::uint32_t>& bad_pages) const;

private:
    bool is_bad_after_rereads(int fd,
                              const std::string& path,
                              std::uint64_t offset,
                              std::uint32_t block,
                              MutableBytes page) const;

    const CopyOptions& options_;
};

} // namespace pgstrata::engine
