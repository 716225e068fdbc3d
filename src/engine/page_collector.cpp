// SPDX-License-Identifier: PostgreSQL
#include "engine/page_collector.hpp"

#include <algorithm>
#include <cstring>

namespace pgstrata::engine {

using repository::Extent;
using repository::PageMap;

void StoredPages::add(const PageMap& pages)
{
    std::size_t index = 0;
    for (const Extent& extent : pages.extents) {
        for (std::uint32_t done = 0; done < extent.size; done += pages.page_size, ++index) {
            Extent where = extent;
            where.position += done;
            where.size = pages.page_size;
            pages_.emplace(pages.page_number(index), Page{pages.hashes[index], where});
        }
    }
}

const Extent* StoredPages::find(std::uint32_t number, std::uint64_t page_hash) const
{
    const auto [begin, end] = pages_.equal_range(number);
    const auto found = std::find_if(
        begin, end, [&](const auto& stored) { return stored.second.hash == page_hash; });
    return found == end ? nullptr : &found->second.where;
}

namespace {

void add_page(PageMap& pages, std::uint32_t number, std::uint64_t hash, const Extent& where)
{
    pages.numbers.push_back(number);
    pages.hashes.push_back(hash);
    if (!pages.extents.empty()) {
        Extent& last = pages.extents.back();
        if (last.pack == where.pack && last.offset == where.offset && last.length == where.length &&
            last.position + last.size == where.position) {
            last.size += where.size;
            return;
        }
    }
    pages.extents.push_back(where);
}

} // namespace

std::uint32_t PageCollector::collect(const PageFile& file,
                                     PageRange range,
                                     const KnownPages& known,
                                     MutableBytes room,
                                     std::uint32_t position,
                                     const PageFindings& findings) const
{
    const std::uint32_t page_size = options_.page_size;
    reader_.read(file, range.begin, room);
    std::uint32_t kept = 0;
    for (std::uint32_t number = range.begin; number < range.end; ++number) {
        const MutableBytes page =
            room.subspan(std::size_t{number - range.begin} * page_size, page_size);
        std::uint64_t page_hash = hash(page);
        bool is_known = known.has(number, page_hash);
        if (check(file, number, page, is_known, known, findings.bad_pages)) {
            page_hash = hash(page);
            is_known = known.has(number, page_hash);
        }
        if (is_known) {
            continue;
        }
        if (const Extent* stored = known.durable.find(number, page_hash)) {
            add_page(findings.map, number, page_hash, *stored);
            continue;
        }
        if (page.data() != room.data() + kept) {
            std::memcpy(room.data() + kept, page.data(), page_size);
        }
        add_page(findings.map, number, page_hash, {0, 0, 0, position + kept, page_size});
        kept += page_size;
    }
    return kept;
}

// True when the page was read again, and may be another.
bool PageCollector::check(const PageFile& file,
                          std::uint32_t number,
                          MutableBytes page,
                          bool is_known,
                          const KnownPages& known,
                          std::vector<std::uint32_t>& bad_pages) const
{
    const bool was_judged = is_known && postgres::page_lsn(page) < options_.unjudged_from;
    if (was_judged && known.bad_pages.empty()) {
        return false;
    }
    const PageVerdict verdict = reader_.check(file, number, page);
    const bool is_still_bad =
        !options_.check_pages && is_known && std::ranges::binary_search(known.bad_pages, number);
    if (verdict.is_bad || is_still_bad) {
        bad_pages.push_back(number);
    }
    return verdict.was_reread;
}

} // namespace pgstrata::engine
