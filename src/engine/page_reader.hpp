// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/copy.hpp"
#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/gentle_reader.hpp"

#include <cstdint>
#include <string>

namespace pgstrata::engine {

// A relation file that is open, and where its pages are in their fork.
struct PageFile {
    int fd = -1;
    std::string path;
    std::uint32_t first_block = 0;        // number of the file's first page in its fork
    const GentleReader* gentle = nullptr; // for large files
};

struct PageVerdict {
    bool is_bad = false;
    bool was_reread = false; // the bytes may not be those that were read first
};

// Reads pages of files that a server may be writing at the same moment. One thread.
class PageReader {
public:
    // How often a page is read again that may have been caught in the middle of a write.
    static constexpr int kRereads = 5;

    explicit PageReader(const CopyOptions& options) : options_(options) {}

    // Fills `out` with pages of the file from `page` on; what the file no longer has becomes zero
    // pages.
    void read(const PageFile& file, std::uint32_t page, MutableBytes out) const;
    // Whether the page that was read is damaged, by the rules of the options. One that looks so is
    // read again a few times, since it may have been caught in the middle of a write; `bytes` are
    // what was read last.
    PageVerdict check(const PageFile& file, std::uint32_t page, MutableBytes bytes) const;
    // Reads the page again after a moment.
    void reread(const PageFile& file, std::uint32_t page, MutableBytes bytes) const;

private:
    const CopyOptions& options_;
};

} // namespace pgstrata::engine
