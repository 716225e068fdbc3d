// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/copy_state.hpp"
#include "engine/frame_packer.hpp"
#include "engine/page_collector.hpp"

#include "pgstrata/repository/pack.hpp"

#include <cstdint>
#include <vector>

namespace pgstrata::engine {

// Copies relation files page by page. One thread.
class PageFileCopier : NonCopyable {
public:
    // All must outlive the copier; `packs` are those that `packer` writes to.
    PageFileCopier(CopyState& state, FramePacker& packer, const repository::PackSet& packs);

    // A file below kSmallFileSize.
    void copy_small(std::uint32_t index);
    // A part of a larger one. Other copiers may be at work on other parts.
    void copy_part(const CopyUnit& unit);

private:
    FileWork work_of(std::uint32_t index) const { return state_.plan.work[index]; }
    std::uint32_t page_count(const repository::ManifestFile& file) const;
    std::size_t bytes_of(PageRange range) const;
    PageFile page_file(const repository::ManifestFile& file, const FileDescriptor& open) const;
    KnownPages find_known(std::uint32_t index, const repository::ManifestFile& file);
    repository::PageMap begin_map(const repository::ManifestFile& file) const;
    bool end_map(repository::PageMap& map, const KnownPages& known);
    std::vector<PageRange> ranges_to_read(std::uint32_t index,
                                          const PageFile& pages,
                                          const KnownPages& known,
                                          PageRange range);

    void open_shared(std::uint32_t index, SharedFile& shared);
    void
    copy_pages(std::uint32_t index, SharedFile& shared, PageRange part, repository::PageMap& map);
    PageRange next_chunk(PageRange range, repository::PageMap& map);
    void flush_frame(repository::PageMap& map);
    void finish_shared(std::uint32_t index, SharedFile& shared);

    CopyState& state_;
    const CopyOptions& options_;
    FramePacker& packer_;
    PageCollector collector_;
    PageAudit audit_;
    repository::PackReader prior_;
    Buffer frame_; // changed pages of the part that is read
    std::uint32_t frame_used_ = 0;
};

} // namespace pgstrata::engine
