// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/crc32c.hpp"

#include "postgres/crc32c_table.hpp"

#include <array>
#include <bit>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace pgstrata::postgres {

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78; // reflected
constexpr std::size_t kSlices = 8;

using Slices = std::array<std::array<std::uint32_t, 256>, kSlices>;

// Slice s holds the effect of a byte that s more bytes follow.
constexpr Slices make_slices()
{
    Slices slices{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
        }
        slices[0][byte] = crc;
    }
    for (std::size_t slice = 1; slice < kSlices; ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = slices[slice - 1][byte];
            slices[slice][byte] = (before >> 8U) ^ slices[0][before & 0xFFU];
        }
    }
    return slices;
}

constexpr Slices kTable = make_slices();

std::uint32_t table_step(std::uint32_t crc, std::uint8_t byte) noexcept
{
    return (crc >> 8U) ^ kTable[0][(crc ^ byte) & 0xFFU];
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(ByteView bytes,
                                                                      std::uint32_t crc) noexcept
{
    std::uint64_t state = ~crc;
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        state = _mm_crc32_u64(state, load<std::uint64_t>(at));
    }
    auto tail = static_cast<std::uint32_t>(state);
    for (; left > 0; --left, ++at) {
        tail = _mm_crc32_u8(tail, std::to_integer<std::uint8_t>(*at));
    }
    return ~tail;
}
#endif

} // namespace

std::uint32_t crc32c_by_table(ByteView bytes, std::uint32_t crc) noexcept
{
    crc = ~crc;
    const std::uint8_t* at = as_u8(bytes);
    std::size_t left = bytes.size();
    if constexpr (std::endian::native == std::endian::little) {
        for (; left >= 8; left -= 8, at += 8) {
            const std::uint64_t word =
                load<std::uint64_t>(bytes.data() + bytes.size() - left) ^ crc;
            crc = 0;
            for (std::size_t byte = 0; byte < 8; ++byte) {
                crc ^= kTable[7 - byte][(word >> (8 * byte)) & 0xFFU];
            }
        }
    }
    for (; left > 0; --left, ++at) {
        crc = table_step(crc, *at);
    }
    return ~crc;
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t crc) noexcept
{
#if defined(__x86_64__)
    static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
    if (has_instruction) {
        return crc32c_by_instruction(bytes, crc);
    }
#endif
    return crc32c_by_table(bytes, crc);
}

} // namespace pgstrata::postgres
