// SPDX-License-Identifier: PostgreSQL
#include "storage/read_ahead.hpp"

#include <algorithm>

namespace pgstrata::storage {

namespace {

constexpr std::size_t kFirstBlock = 1U << 20U;
// Small files, large files, the page maps of either, and one more.
constexpr std::size_t kMostReaders = 4;

} // namespace

std::size_t ReadAhead::copy(std::uint64_t at, MutableBytes out) const
{
    const std::lock_guard lock(mutex_);
    for (const Reader& reader : readers_) {
        const std::size_t got = reader.block ? reader.block->copy(at, out) : 0;
        if (got != 0) {
            return got;
        }
    }
    return 0;
}

// Whoever reads there becomes the last of them; the one that has not read for longest gives way to
// a new one.
ReadAhead::Reader& ReadAhead::take_turn(std::uint64_t at)
{
    const auto reads_there = [&](const Reader& reader) {
        const bool goes_on = at >= reader.expected && at - reader.expected <= read_over_;
        return goes_on || (reader.block && reader.block->has(at));
    };
    if (const auto known = std::ranges::find_if(readers_, reads_there); known != readers_.end()) {
        std::rotate(known, known + 1, readers_.end());
        return readers_.back();
    }
    if (readers_.size() == kMostReaders) {
        readers_.erase(readers_.begin());
    }
    return readers_.emplace_back(
        Reader{.next_block = std::min(kFirstBlock, longest_), .expected = at});
}

void ReadAhead::note(std::uint64_t begin, std::uint64_t end)
{
    const std::lock_guard lock(mutex_);
    Reader& reader = take_turn(begin);
    reader.expected = end;
    if (reader.block && end == reader.block->end()) {
        reader.block.reset();
    }
}

std::optional<std::size_t> ReadAhead::block_size(std::uint64_t at, std::size_t wanted)
{
    const std::lock_guard lock(mutex_);
    if (wanted >= longest_) {
        return std::nullopt;
    }
    Reader& reader = take_turn(at);
    const std::size_t size = std::max(reader.next_block, wanted);
    reader.next_block = std::min(reader.next_block * 2, longest_);
    return size;
}

void ReadAhead::keep(std::shared_ptr<const FetchedBlock> block)
{
    const std::lock_guard lock(mutex_);
    std::size_t kept = block->bytes.size();
    take_turn(block->offset).block = std::move(block);
    for (auto reader = readers_.rbegin() + 1; reader != readers_.rend(); ++reader) {
        kept += reader->block ? reader->block->bytes.size() : 0;
        if (kept > longest_) {
            reader->block.reset();
        }
    }
}

} // namespace pgstrata::storage
