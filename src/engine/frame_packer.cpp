// SPDX-License-Identifier: PostgreSQL
#include "engine/frame_packer.hpp"

#include <algorithm>

namespace pgstrata::engine {

using repository::Extent;
using repository::ManifestFile;
using repository::PageMap;

void resolve_extents(std::vector<Extent>& extents, const Extent& frame)
{
    for (Extent& extent : extents) {
        if (extent.length == 0) {
            extent.pack = frame.pack;
            extent.offset = frame.offset;
            extent.length = frame.length;
            extent.position += frame.position;
        }
    }
}

FramePacker::FramePacker(repository::PackSet& packs,
                         repository::Manifest& manifest,
                         std::optional<int> compress_level)
    : packs_(packs), manifest_(manifest),
      first_own_(static_cast<std::uint32_t>(manifest.packs.size())), writer_(packs),
      small_(codec::kFrameRawLimit)
{
    if (compress_level) {
        compressor_.emplace(*compress_level);
    }
}

void FramePacker::keep_journal(const repository::JournalHeader& header)
{
    journal_.emplace(header);
}

Extent FramePacker::add_frame(ByteView raw)
{
    return writer_.append(
        codec::make_frame_body(raw, compressor_ ? &*compressor_ : nullptr, scratch_));
}

Extent FramePacker::in_manifest(Extent extent) const noexcept
{
    extent.pack += first_own_;
    return extent;
}

MutableBytes FramePacker::reserve_small(std::size_t size)
{
    if (small_used_ + size > small_.size()) {
        flush_small();
    }
    return small_.span().subspan(small_used_, size);
}

void FramePacker::add_small_file(std::uint32_t file, std::size_t size)
{
    small_pieces_.push_back(
        {file, static_cast<std::uint32_t>(small_used_), static_cast<std::uint32_t>(size), {}});
    small_used_ += size;
}

void FramePacker::add_small_pages(std::uint32_t file, std::size_t size, PageMap map)
{
    if (size == 0) {
        add_map(file, map);
        return;
    }
    small_pieces_.push_back({file,
                             static_cast<std::uint32_t>(small_used_),
                             static_cast<std::uint32_t>(size),
                             std::move(map)});
    small_used_ += size;
}

void FramePacker::flush_small()
{
    if (small_used_ == 0) {
        return;
    }
    const Extent frame = add_frame(small_.view().first(small_used_));
    std::vector<Piece> pieces;
    pieces.swap(small_pieces_);
    small_used_ = 0;
    for (Piece& piece : pieces) {
        if (!piece.pages) {
            add_whole(piece, frame);
            continue;
        }
        Extent room = frame;
        room.position = piece.position;
        resolve_extents(piece.pages->extents, room);
        remember_pages(piece.file, *piece.pages);
        add_map(piece.file, *piece.pages);
    }
}

void FramePacker::add_whole(const Piece& piece, const Extent& frame)
{
    Extent extent = frame;
    extent.position = piece.position;
    extent.size = piece.size;
    manifest_.files[piece.file].extents.assign(1, in_manifest(extent));
    remember_file(piece.file);
}

void FramePacker::remember_file(std::uint32_t file)
{
    if (!journal_) {
        return;
    }
    const ManifestFile& entry = manifest_.files[file];
    repository::StoredFile stored{entry.size, entry.digest, entry.extents};
    for (Extent& extent : stored.extents) {
        extent.pack -= first_own_;
    }
    journal_->add_file(entry.path, stored);
}

void FramePacker::remember_pages(std::uint32_t file, const PageMap& pages)
{
    if (journal_ && pages.stored_pages() != 0) {
        journal_->add_pages(manifest_.files[file].path, pages);
    }
}

void FramePacker::add_map(std::uint32_t file, const PageMap& map)
{
    if (map.is_dense) {
        manifest_.files[file].extents.clear();
    }
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
    const Extent frame = add_frame(maps_);
    for (const Piece& piece : map_pieces_) {
        Extent extent = frame;
        extent.position = piece.position;
        extent.size = piece.size;
        std::vector<Extent>& extents = manifest_.files[piece.file].extents;
        const auto earlier_backups =
            std::ranges::find_if(extents, [&](const Extent& e) { return e.pack < first_own_; });
        extents.insert(earlier_backups, in_manifest(extent));
    }
    map_pieces_.clear();
    maps_.clear();
}

void FramePacker::end_unit()
{
    if (!writer_.is_full()) {
        return;
    }
    const auto number = writer_.finish();
    if (number && journal_) {
        journal_->write(packs_.repository(), packs_.stanza(), packs_.label(), *number);
    }
}

void FramePacker::finish()
{
    flush_small();
    flush_maps();
    // Without a journal: what this pack holds is little, and soon the backup is complete.
    writer_.finish();
}

} // namespace pgstrata::engine
