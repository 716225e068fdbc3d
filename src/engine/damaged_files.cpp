// SPDX-License-Identifier: PostgreSQL
#include "engine/damaged_files.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/object_error.hpp"

#include <algorithm>
#include <limits>

namespace pgstrata::engine {

using repository::Extent;
using repository::ManifestFile;
using repository::PageRun;

namespace {

std::vector<PageRange> whole_file()
{
    return {{0, std::numeric_limits<std::uint32_t>::max()}};
}

void add_page(std::vector<PageRange>& ranges, std::uint32_t page)
{
    if (!ranges.empty() && ranges.back().end == page) {
        ++ranges.back().end;
    } else {
        ranges.push_back({page, page + 1});
    }
}

} // namespace

DamagedFiles::DamagedFiles(const repository::Repository& repository,
                           const std::string& stanza,
                           const std::vector<repository::PackInfo>& packs,
                           const repository::Damage& damage)
    : packs_(packs), damage_(damage), maps_(repository, stanza, packs)
{
    for (const repository::PackInfo& pack : packs) {
        is_damaged_.push_back(damage.has(pack.name) ? 1 : 0);
        is_any_damaged_ = is_any_damaged_ || is_damaged_.back() != 0;
    }
}

bool DamagedFiles::hits(const Extent& extent) const
{
    return is_damaged_.at(extent.pack) != 0 && damage_.hits(packs_[extent.pack].name, extent);
}

std::vector<PageRange> DamagedFiles::find(const ManifestFile& file)
{
    if (!is_any_damaged_) {
        return {};
    }
    if (std::ranges::any_of(file.extents, [&](const Extent& extent) { return hits(extent); })) {
        return whole_file();
    }
    return file.content == repository::ContentKind::paged ? find_pages(file)
                                                          : std::vector<PageRange>();
}

void DamagedFiles::find_in_run(const PageRun& run,
                               std::uint32_t page_size,
                               std::vector<PageRange>& found) const
{
    for (std::uint32_t i = 0; i < run.where.size / page_size; ++i) {
        Extent page = run.where;
        page.position += i * page_size;
        page.size = page_size;
        if (hits(page)) {
            add_page(found, run.first_page + i);
        }
    }
}

std::vector<PageRange> DamagedFiles::find_pages(const ManifestFile& file)
{
    try {
        const std::string what = fmt::format("the page map of '{}'", file.path);
        const repository::FilePages pages(
            repository::read_page_maps(maps_, packs_, file.extents, what), what);
        std::vector<PageRange> found;
        for (const PageRun& run : pages.runs()) {
            if (is_damaged_.at(run.where.pack) != 0) {
                find_in_run(run, pages.page_size(), found);
            }
        }
        return found;
    } catch (const Error& error) {
        // A store that is away says nothing about the file.
        if (!repository::is_of_object(error.code())) {
            throw;
        }
        return whole_file();
    }
}

} // namespace pgstrata::engine
