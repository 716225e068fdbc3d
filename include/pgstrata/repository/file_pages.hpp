// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/page_map.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pgstrata::repository {

// Pages of a file that lie one after another in the file and in one frame.
struct PageRun {
    std::uint32_t first_page = 0;
    Extent where; // its size is a whole number of pages
};

// Where all pages of a file are, as its chain of page maps leads to them: each page is in the
// newest map that has it. What an older map holds beyond the length that the file had in a newer
// one was cut off, and never comes back.
class FilePages {
public:
    FilePages() = default;
    // `maps` as read_page_maps() gives them, the newest first. Throws Error(format) naming `what`
    // when a page is in no map or the maps have different page sizes. Takes no more memory than the
    // maps do, whatever length they claim.
    FilePages(std::span<const PageMap> maps, std::string_view what);

    std::uint32_t page_size() const noexcept { return page_size_; }
    std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(hashes_.size()); }
    // page_hash() of each page.
    const std::vector<std::uint64_t>& hashes() const noexcept { return hashes_; }
    // Ascending, without gaps from the first page to the last.
    const std::vector<PageRun>& runs() const noexcept { return runs_; }

private:
    std::uint32_t page_size_ = 0;
    std::vector<std::uint64_t> hashes_;
    std::vector<PageRun> runs_;
};

// Reads the maps that the extents of a manifest's file lead to, newest first. The extents in the
// maps come back as places in `packs`, the sorted table that `reader` was made with. What stands
// behind a dense map is not looked at. Throws Error(format) naming `what`, also when the labels of
// the backups that the maps come from do not descend.
std::vector<PageMap> read_page_maps(PackReader& reader,
                                    const std::vector<PackInfo>& packs,
                                    std::span<const Extent> extents,
                                    std::string_view what);

} // namespace pgstrata::repository
