// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/repository/pack.hpp"
#include "pgstrata/util/serial.hpp"

namespace pgstrata::repository {

// Five numbers of a byte each: bounds what a count of extents may allocate.
inline constexpr std::size_t kSmallestExtent = 5;

// Five varints: pack, offset, length, position, size.
void encode_extent(const Extent& extent, SerialWriter& out);
// Throws Error(format) for one that is larger than a frame.
Extent decode_extent(SerialReader& in);

} // namespace pgstrata::repository
