// SPDX-License-Identifier: PostgreSQL
#include "repository/extent_codec.hpp"

#include <limits>

namespace pgstrata::repository {

void encode_extent(const Extent& extent, SerialWriter& out)
{
    out.varint(extent.pack);
    out.varint(extent.offset);
    out.varint(extent.length);
    out.varint(extent.position);
    out.varint(extent.size);
}

Extent decode_extent(SerialReader& in)
{
    constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
    Extent extent;
    extent.pack = static_cast<std::uint32_t>(in.varint(kMax32));
    extent.offset = in.varint();
    extent.length = static_cast<std::uint32_t>(in.varint(kMax32));
    extent.position = static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit));
    extent.size = static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit - extent.position));
    return extent;
}

} // namespace pgstrata::repository
