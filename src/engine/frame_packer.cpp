// SPDX-License-Identifier: PostgreSQL
#include "engine/frame_packer.hpp"

#include <algorithm>

namespace pgstrata::engine {

FramePacker::FramePacker(repository::PackSet& packs,
                         repository::Manifest& manifest,
                         std::uint32_t page_size,
                         std::optional<int> compress_level)
    : manifest_(manifest), page_size_(page_size), writer_(packs), small_(codec::kFrameRawLimit)
{
    if (compress_level) {
        compressor_.emplace(*compress_level);
    }
}

repository::Extent FramePacker::add_frame(ByteView raw)
{
    const repository::Extent extent = writer_.append(
        codec::make_frame_body(raw, compressor_ ? &*compressor_ : nullptr, scratch_));
    if (writer_.is_full()) {
        writer_.finish();
    }
    return extent;
}

MutableBytes FramePacker::reserve_small(std::size_t size)
{
    if (small_used_ + size > small_.size()) {
        flush_small();
    }
    return small_.span().subspan(small_used_, size);
}

void FramePacker::add_small(std::uint32_t file, std::size_t size, std::vector<std::uint64_t> hashes)
{
    small_pieces_.push_back({file,
                             static_cast<std::uint32_t>(small_used_),
                             static_cast<std::uint32_t>(size),
                             std::move(hashes)});
    small_used_ += size;
}

void FramePacker::flush_small()
{
    if (small_used_ == 0) {
        return;
    }
    const repository::Extent frame = add_frame(small_.view().first(small_used_));
    std::vector<Piece> pieces;
    pieces.swap(small_pieces_);
    small_used_ = 0;
    for (Piece& piece : pieces) {
        repository::Extent extent = frame;
        extent.position = piece.position;
        extent.size = piece.size;
        if (piece.hashes.empty()) {
            manifest_.files[piece.file].extents.assign(1, extent);
            continue;
        }
        repository::PageMap map;
        map.page_size = page_size_;
        map.file_pages = piece.size / page_size_;
        map.extents.assign(1, extent);
        map.hashes = std::move(piece.hashes);
        add_map(piece.file, map);
    }
}

void FramePacker::add_map(std::uint32_t file, const repository::PageMap& map)
{
    encoded_.clear();
    repository::encode_page_map(map, encoded_);
    // A map stays in one frame where it can; that of a full segment is larger than any frame.
    if (maps_.size() + encoded_.size() > codec::kFrameRawLimit) {
        flush_maps();
    }
    for (ByteView rest = encoded_; !rest.empty();) {
        const ByteView piece =
            rest.first(std::min(rest.size(), codec::kFrameRawLimit - maps_.size()));
        map_pieces_.push_back({file,
                               static_cast<std::uint32_t>(maps_.size()),
                               static_cast<std::uint32_t>(piece.size()),
                               {}});
        maps_.append(piece);
        rest = rest.subspan(piece.size());
        if (maps_.size() == codec::kFrameRawLimit) {
            flush_maps();
        }
    }
}

void FramePacker::flush_maps()
{
    if (maps_.empty()) {
        return;
    }
    const repository::Extent frame = add_frame(maps_);
    for (const Piece& piece : map_pieces_) {
        repository::Extent extent = frame;
        extent.position = piece.position;
        extent.size = piece.size;
        manifest_.files[piece.file].extents.push_back(extent);
    }
    map_pieces_.clear();
    maps_.clear();
}

void FramePacker::finish()
{
    flush_small();
    flush_maps();
    writer_.finish();
}

} // namespace pgstrata::engine
