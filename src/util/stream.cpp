// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/stream.hpp"

#include <algorithm>
#include <cstring>

namespace pgstrata {

ByteView RandomSource::view_at(std::uint64_t offset, std::size_t size, Buffer& room) const
{
    room.resize(size);
    room.resize(read_at(offset, room.span()));
    return room;
}

std::size_t MemorySource::read_at(std::uint64_t offset, MutableBytes out) const
{
    if (offset >= bytes_.size() || out.empty()) {
        return 0;
    }
    const std::size_t count = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, count);
    return count;
}

ByteView MemorySource::view_at(std::uint64_t offset, std::size_t size, Buffer& /*room*/) const
{
    if (offset >= bytes_.size()) {
        return {};
    }
    return bytes_.subspan(offset, std::min<std::size_t>(size, bytes_.size() - offset));
}

ReadAheadSource::ReadAheadSource(const RandomSource& source, Buffer& window)
    : source_(source), window_(window)
{
    window_.resize(kWindow);
}

ByteView ReadAheadSource::fetch(std::uint64_t offset, std::size_t size) const
{
    if (offset < begin_ || offset - begin_ > filled_ || size > filled_ - (offset - begin_)) {
        const bool is_begun = offset >= begin_ && offset - begin_ < filled_;
        const std::size_t kept = is_begun ? filled_ - (offset - begin_) : 0;
        if (kept != 0) {
            std::memmove(window_.data(), window_.data() + (offset - begin_), kept);
        }
        begin_ = offset;
        filled_ = kept;
        filled_ += source_.read_at(offset + kept, window_.span().subspan(kept, kWindow - kept));
    }
    const std::size_t at = offset - begin_;
    return window_.view().subspan(at, std::min(size, filled_ - at));
}

std::size_t ReadAheadSource::read_at(std::uint64_t offset, MutableBytes out) const
{
    if (out.size() > kWindow) {
        return source_.read_at(offset, out);
    }
    const ByteView bytes = fetch(offset, out.size());
    // Not std::ranges::copy, which goes byte by byte where a build optimises little.
    if (!bytes.empty()) {
        std::memcpy(out.data(), bytes.data(), bytes.size());
    }
    return bytes.size();
}

ByteView ReadAheadSource::view_at(std::uint64_t offset, std::size_t size, Buffer& room) const
{
    return size > kWindow ? source_.view_at(offset, size, room) : fetch(offset, size);
}

} // namespace pgstrata
