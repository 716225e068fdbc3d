// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/repository/manifest.hpp"
#include "pgstrata/repository/page_map.hpp"

#include <optional>
#include <vector>

namespace pgstrata::engine {

// One worker's way into the packs: large stretches become frames of their own, small files and page
// maps are collected until they fill a frame. Extents are entered into the manifest's files as
// frames are written, so every file is handled by one packer from add_small or add_map on. One
// thread.
class FramePacker : NonCopyable {
public:
    FramePacker(repository::PackSet& packs,
                repository::Manifest& manifest,
                std::uint32_t page_size,
                std::optional<int> compress_level);

    // Writes up to kFrameRawLimit bytes as one frame at once.
    repository::Extent add_frame(ByteView raw);
    // Room for `size` bytes of a small file in the shared frame; filled by the caller before
    // add_small.
    MutableBytes reserve_small(std::size_t size);
    // The first `size` bytes of the room are a whole file's; `hashes` are those of its pages when
    // it is paged.
    void add_small(std::uint32_t file, std::size_t size, std::vector<std::uint64_t> hashes);
    void add_map(std::uint32_t file, const repository::PageMap& map);
    // Writes what is collected and makes the packs durable.
    void finish();

private:
    struct Piece {
        std::uint32_t file = 0;
        std::uint32_t position = 0;
        std::uint32_t size = 0;
        std::vector<std::uint64_t> hashes;
    };
    void flush_small();
    void flush_maps();

    repository::Manifest& manifest_;
    std::uint32_t page_size_;
    repository::PackWriter writer_;
    std::optional<codec::ZstdCompressor> compressor_;
    Buffer scratch_;
    Buffer small_;
    std::size_t small_used_ = 0;
    std::vector<Piece> small_pieces_;
    Buffer maps_;
    std::vector<Piece> map_pieces_;
    Buffer encoded_;
};

} // namespace pgstrata::engine
