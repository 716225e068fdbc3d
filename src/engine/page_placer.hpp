// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "engine/target_file.hpp"

#include "pgstrata/repository/file_pages.hpp"
#include "pgstrata/repository/manifest.hpp"

#include <cstdint>
#include <string>

namespace pgstrata::engine {

// What became of the bytes of files.
struct PlacedBytes {
    std::uint64_t compared = 0; // read from the disk
    std::uint64_t kept = 0;     // were right on the disk
    std::uint64_t fetched = 0;  // written from the repository
};

// Pages of a file, from `begin` to before `end`. Those below `present` are on the disk: they are
// compared first, and only the others are written.
struct PageStretch {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::uint32_t present = 0;
};

// Writes pages of a backup to their places and checks each against its hash. One thread; one placer
// a worker.
class PagePlacer : NonCopyable {
public:
    // All must outlive the placer. `packs` are the manifest's; whoever else reads of them what lies
    // in the same frames should read through it too.
    PagePlacer(const repository::Repository& repository,
               const repository::Manifest& manifest,
               repository::PackReader& packs);
    // Where the pages of a paged file are. Throws Error(format) when the maps do not fit the file.
    repository::FilePages find(const repository::ManifestFile& file);
    // Says that the pages from `begin` to before `end` are read from the repository next, or after
    // those of the call before. Gives the first page that it says nothing of.
    std::uint32_t
    announce(const repository::FilePages& pages, std::uint32_t begin, std::uint32_t end);
    // `path` is the file's in the manifest, for errors. Throws Error(checksum) when the repository
    // has not the page that was backed up.
    PlacedBytes place(const TargetFile& target,
                      const std::string& path,
                      const repository::FilePages& pages,
                      const PageStretch& stretch);

private:
    struct Job;
    void write(Job& job, std::uint32_t begin, std::uint32_t end);
    void refresh(Job& job, std::uint32_t begin, std::uint32_t end);
    void fetch(const Job& job, std::uint32_t begin, std::uint32_t end, MutableBytes out);
    ByteView read_checked(const Job& job,
                          const repository::PageRun& run,
                          std::uint32_t begin,
                          std::uint32_t end);
    bool is_current(const Job& job, std::uint32_t page, ByteView bytes) const;

    const repository::Repository& repository_;
    const repository::Manifest& manifest_;
    repository::PackReader& packs_;
    Buffer window_;
};

} // namespace pgstrata::engine
