// SPDX-License-Identifier: PostgreSQL
#include "repository/extent_codec.hpp"

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
    Extent extent;
    extent.pack = in.varint_u32();
    extent.offset = in.varint();
    extent.length = in.varint_u32();
    extent.position = static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit));
    extent.size = static_cast<std::uint32_t>(in.varint(codec::kFrameRawLimit - extent.position));
    return extent;
}

} // namespace pgstrata::repository
