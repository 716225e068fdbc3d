// SPDX-License-Identifier: PostgreSQL
#include "engine/page_reader.hpp"

#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/time.hpp"

#include <cstring>

namespace pgstrata::engine {

namespace {

constexpr unsigned kRereadPause = 5; // milliseconds

} // namespace

void PageReader::read(const PageFile& file, std::uint32_t page, MutableBytes out) const
{
    const std::uint64_t offset = std::uint64_t{page} * options_.page_size;
    const std::size_t size = file.gentle != nullptr ? file.gentle->read(offset, out)
                                                    : pread_fully(file.fd, out, offset, file.path);
    // Half a page is what a truncation leaves for a moment.
    const std::size_t whole = size - size % options_.page_size;
    std::memset(out.data() + whole, 0, out.size() - whole);
}

void PageReader::reread(const PageFile& file, std::uint32_t page, MutableBytes bytes) const
{
    sleep_milliseconds(kRereadPause);
    read(file, page, bytes);
}

PageVerdict PageReader::check(const PageFile& file, std::uint32_t page, MutableBytes bytes) const
{
    if (!options_.check_pages) {
        return {};
    }
    const std::uint32_t block = file.first_block + page;
    int attempt = 0;
    while (postgres::check_page(bytes, block, options_.page_check) == postgres::PageState::bad) {
        if (attempt == kRereads) {
            return {true, true};
        }
        reread(file, page, bytes);
        ++attempt;
    }
    return {false, attempt != 0};
}

} // namespace pgstrata::engine
