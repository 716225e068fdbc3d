// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/lsn.hpp"

#include <cstdint>

namespace pgstrata::test {

inline constexpr std::uint32_t kSegmentSize = 16U << 20U;

// Where the first record begins in a segment of that number.
inline postgres::Lsn inside(std::uint64_t number, std::uint32_t size = kSegmentSize)
{
    return {number * size + 0x28};
}

} // namespace pgstrata::test
