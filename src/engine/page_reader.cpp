// SPDX-License-Identifier: PostgreSQL
#include "engine/page_reader.hpp"

#include "pgstrata/util/file_descriptor.hpp"

namespace pgstrata::engine {

namespace {

constexpr int kRereads = 5;
constexpr unsigned kRereadPause = 5;

} // namespace

bool PageReader::is_bad_after_rereads(int fd,
                                      const std::string& path,
                                      std::uint64_t offset,
                                      std::uint32_t block,
                                      MutableBytes page) const
{
    // A page caught in the middle of a write is whole a moment later.
    for (int attempt = 0; attempt < kRereads; ++attempt) {
        sleep_milliseconds(kRereadPause);
        if (pread_fully(fd, page, offset, path) != page.size()) {
            // Truncated meanwhile: what was there is no part of the relation any more.
            std::memset(page.data(), 0, page.size());
            return false;
        }
        if (postgres::check_page(page, block, options_.page_check) != postgres::PageState::bad) {
            return false;
        }
    }
    return true;
}

void PageReader::read_pages(int fd,
                            const std::string& path,
                            std::uint64_t offset,
                            std::uint32_t first_block,
                            MutableBytes out,
                            std::vector<std::uint32_t>& bad_pages) const
{
    const std::size_t size = pread_fully(fd, out, offset, path);
    const std::size_t page_size = options_.page_size;
    const std::size_t whole = size - size % page_size;
    std::memset(out.data() + whole, 0, out.size() - whole);
    if (!options_.check_pages) {
        return;
    }
    for (std::size_t at = 0; at < whole; at += page_size) {
        const MutableBytes page = out.subspan(at, page_size);
        const auto number = static_cast<std::uint32_t>((offset + at) / page_size);
        if (postgres::check_page(page, first_block + number, options_.page_check) ==
                postgres::PageState::bad &&
            is_bad_after_rereads(fd, path, offset + at, first_block + number, page)) {
            bad_pages.push_back(number);
        }
    }
}

} // namespace pgstrata::engine
