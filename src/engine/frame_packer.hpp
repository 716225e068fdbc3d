// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/repository/journal.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/page_map.hpp"

#include <optional>
#include <vector>

namespace pgstrata::engine {

// One worker's way into the packs: large stretches become frames of their own, small files and page
// maps are collected until they fill a frame. Extents are entered into the manifest's files as
// frames are written, so every file is handled by one packer from add_small... or add_map on. In
// the manifest the packs of this backup count on from those that its table has already. One thread.
class FramePacker : NonCopyable {
public:
    FramePacker(repository::PackSet& packs,
                repository::Manifest& manifest,
                std::optional<int> compress_level);
    // From here on every pack gets a journal of what is in it.
    void keep_journal(const repository::JournalHeader& header);

    // Writes up to kFrameRawLimit bytes as one frame at once; the extent's pack is the number in
    // the backup.
    repository::Extent add_frame(ByteView raw);
    repository::Extent in_manifest(repository::Extent extent) const noexcept;

    // Room for `size` bytes of a small file in the shared frame; filled by the caller before it is
    // added.
    MutableBytes reserve_small(std::size_t size);
    // The first `size` bytes of the room are a whole file's.
    void add_small_file(std::uint32_t file, std::size_t size);
    // The first `size` bytes of the room are pages of a file. Extents of `map` without a frame are
    // places in the room.
    void add_small_pages(std::uint32_t file, std::size_t size, repository::PageMap map);
    // The map goes before the maps that the file has of earlier backups.
    void add_map(std::uint32_t file, const repository::PageMap& map);

    // For the journal: what add_frame() has written is a file, or pages of one.
    void remember_file(std::uint32_t file);
    void remember_pages(std::uint32_t file, const repository::PageMap& pages);

    // Between two units of work: makes the open pack durable when it is full.
    void end_unit();
    // Writes what is collected and makes the last pack durable.
    void finish();

private:
    struct Piece {
        std::uint32_t file = 0;
        std::uint32_t position = 0;
        std::uint32_t size = 0;
        std::optional<repository::PageMap> pages; // of a paged file
    };
    void flush_small();
    void flush_maps();
    void add_whole(const Piece& piece, const repository::Extent& frame);

    repository::PackSet& packs_;
    repository::Manifest& manifest_;
    std::uint32_t first_own_; // position of the backup's own pack 0
    repository::PackWriter writer_;
    std::optional<repository::JournalWriter> journal_;
    std::optional<codec::ZstdCompressor> compressor_;
    Buffer scratch_;
    Buffer small_;
    std::size_t small_used_ = 0;
    std::vector<Piece> small_pieces_;
    Buffer maps_;
    std::vector<Piece> map_pieces_;
    Buffer encoded_;
};

// Gives the extents that have no frame yet the one that their bytes were written as.
void resolve_extents(std::vector<repository::Extent>& extents, const repository::Extent& frame);

} // namespace pgstrata::engine
