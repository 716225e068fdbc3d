// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/stream.hpp"

#include <algorithm>

namespace pgstrata {

std::size_t MemorySource::read_at(std::uint64_t offset, MutableBytes out) const
{
    if (offset >= bytes_.size() || out.empty()) {
        return 0;
    }
    const std::size_t count = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, count);
    return count;
}

} // namespace pgstrata
