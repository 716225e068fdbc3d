// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/page_reader.hpp"

#include "pgstrata/engine/change_detection.hpp"
#include "pgstrata/repository/file_pages.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace pgstrata::engine {

// Pages of one file that an earlier try of the same backup has made durable.
class StoredPages {
public:
    void add(const repository::PageMap& pages);
    // A place of its own backup where these bytes are; null when there is none.
    const repository::Extent* find(std::uint32_t number, std::uint64_t page_hash) const;

private:
    struct Page {
        std::uint64_t hash = 0;
        repository::Extent where;
    };
    std::unordered_multimap<std::uint32_t, Page> pages_;
};

// What is known of a relation file before it is read.
struct KnownPages {
    repository::FilePages prior; // no pages where there is no prior backup of it
    StoredPages durable;
    // In the prior backup, ascending. Where there are any, all pages that did not change are
    // checked too; where nothing is checked, they stay damaged until they change.
    std::vector<std::uint32_t> bad_pages;

    // Whether the prior backup has these bytes as that page.
    bool has(std::uint32_t number, std::uint64_t page_hash) const
    {
        return number < prior.hashes().size() && prior.hashes()[number] == page_hash;
    }
};

// Where goes what is found of a file.
struct PageFindings {
    repository::PageMap& map;
    std::vector<std::uint32_t>& bad_pages;
};

// Reads pages and keeps those that are new. One thread.
class PageCollector : NonCopyable {
public:
    PageCollector(const CopyOptions& options, const codec::PageHashKey& key)
        : options_(options), key_(key), reader_(options)
    {
    }

    // Reads the pages of `range` into `room`, which is as large, and moves those to its front that
    // must be stored; returns their bytes. Pages that the prior backup does not have are entered
    // into the map: those stored before with their place, the others with an extent without a frame
    // whose position counts from `position`, that of the room. Damaged pages are listed too.
    std::uint32_t collect(const PageFile& file,
                          PageRange range,
                          const KnownPages& known,
                          MutableBytes room,
                          std::uint32_t position,
                          const PageFindings& findings) const;

    const PageReader& reader() const noexcept { return reader_; }
    std::uint64_t hash(ByteView page) const noexcept { return codec::page_hash(page, key_); }

private:
    bool check(const PageFile& file,
               std::uint32_t number,
               MutableBytes page,
               bool is_known,
               const KnownPages& known,
               std::vector<std::uint32_t>& bad_pages) const;

    const CopyOptions& options_;
    const codec::PageHashKey& key_;
    PageReader reader_;
};

// Looks at a few pages that WAL does not name, at random: one in kAuditInterval. One thread.
class PageAudit : NonCopyable {
public:
    PageAudit(const CopyOptions& options, const PageCollector& collector);

    // `read` are the ranges of `range` that are read anyway. Returns the bytes it has read. Throws
    // Error(checksum) for a page that has changed though it may not.
    std::uint64_t audit(const PageFile& file,
                        PageRange range,
                        const std::vector<PageRange>& read,
                        const repository::FilePages& prior);

private:
    bool is_as_before(const PageFile& file, std::uint32_t page, std::uint64_t hash);

    const CopyOptions& options_;
    const PageCollector& collector_;
    Buffer page_;
    std::uint64_t seed_;
    std::uint32_t until_next_; // pages
};

} // namespace pgstrata::engine
