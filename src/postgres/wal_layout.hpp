// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstddef>
#include <cstdint>

// How WAL lies in its pages (PostgreSQL's xlog_internal.h and xlogrecord.h), the same in 13 to 18.
namespace pgstrata::postgres::wal {

inline constexpr std::size_t kRecordHeaderSize = 24;
inline constexpr std::size_t kShortPageHeaderSize = 24; // of all pages but a segment's first
inline constexpr std::uint16_t kContinuationFlag = 1;   // the page begins with the rest of a record
inline constexpr std::uint16_t kLongHeaderFlag = 2;
inline constexpr std::size_t kAlignment = 8; // of records
inline constexpr std::uint8_t kTransactionManager = 1;

// What stands before the main data of a record, by its first byte.
inline constexpr std::uint8_t kTopTransaction = 252; // from 14 on
inline constexpr std::uint8_t kOrigin = 253;
inline constexpr std::uint8_t kLongMainData = 254;
inline constexpr std::uint8_t kShortMainData = 255;

inline constexpr std::size_t align(std::size_t at) noexcept
{
    return (at + kAlignment - 1) & ~(kAlignment - 1);
}

} // namespace pgstrata::postgres::wal
