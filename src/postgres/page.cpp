// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/page.hpp"

#include <array>
#include <cstring>

// The compiler makes one copy of the function for each kind of processor and the loader picks,
// which takes glibc. The picking runs before sanitizers are set up, and clang has no such attribute
// for functions like ours.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) &&                            \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PGSTRATA_VECTOR_CLONES __attribute__((target_clones("avx2", "sse4.1", "default")))
#else
#define PGSTRATA_VECTOR_CLONES
#endif

namespace pgstrata::postgres {

namespace {

constexpr std::size_t kLanes = 32;
constexpr std::size_t kRowSize = kLanes * sizeof(std::uint32_t);
constexpr std::uint32_t kPrime = 16777619;

constexpr std::array<std::uint32_t, kLanes> kSeeds = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kLowerOffset = 12;
constexpr std::size_t kUpperOffset = 14;
constexpr std::size_t kSpecialOffset = 16;
constexpr std::size_t kSizeOffset = 18;
constexpr std::size_t kHeaderSize = 24;
constexpr std::uint16_t kLayoutVersion = 4;

// Eight lanes; the four runs of them are named variables so that they stay in registers.
using Lanes [[gnu::vector_size(32)]] = std::uint32_t;
// The same anywhere in memory: copying through memcpy would go through the stack.
using UnalignedLanes [[gnu::vector_size(32), gnu::aligned(1), gnu::may_alias]] = std::uint32_t;

inline __attribute__((always_inline)) void mix(Lanes& lanes, const UnalignedLanes& words) noexcept
{
    const Lanes mixed = lanes ^ words;
    lanes = (mixed * kPrime) ^ (mixed >> 17);
}

struct LaneBlock {
    Lanes a;
    Lanes b;
    Lanes c;
    Lanes d;
};

inline __attribute__((always_inline)) void mix_row(LaneBlock& lanes, const std::byte* row) noexcept
{
    const auto* const words = reinterpret_cast<const UnalignedLanes*>(row);
    mix(lanes.a, words[0]);
    mix(lanes.b, words[1]);
    mix(lanes.c, words[2]);
    mix(lanes.d, words[3]);
}

PGSTRATA_VECTOR_CLONES
std::uint32_t hash_page(const std::byte* page, std::size_t rows) noexcept
{
    static_assert(sizeof(LaneBlock) == kRowSize);
    LaneBlock lanes;
    std::memcpy(&lanes, kSeeds.data(), sizeof lanes);

    std::array<std::byte, kRowSize> first;
    std::memcpy(first.data(), page, kRowSize);
    std::memset(first.data() + kChecksumOffset, 0, sizeof(std::uint16_t));
    mix_row(lanes, first.data());
    for (std::size_t row = 1; row < rows; ++row) {
        mix_row(lanes, page + row * kRowSize);
    }
    const std::array<std::byte, kRowSize> zeros{};
    mix_row(lanes, zeros.data());
    mix_row(lanes, zeros.data());

    const Lanes folded = lanes.a ^ lanes.b ^ lanes.c ^ lanes.d;
    std::uint32_t hash = 0;
    for (std::size_t lane = 0; lane < sizeof folded / sizeof hash; ++lane) {
        hash ^= folded[lane];
    }
    return hash;
}

std::uint16_t field(ByteView page, std::size_t offset) noexcept
{
    return load<std::uint16_t>(page.data() + offset);
}

bool has_sane_header(ByteView page) noexcept
{
    constexpr std::size_t kAlignment = 8;
    const std::size_t lower = field(page, kLowerOffset);
    const std::size_t upper = field(page, kUpperOffset);
    const std::size_t special = field(page, kSpecialOffset);
    return lower >= kHeaderSize && lower <= upper && upper <= special && special <= page.size() &&
           special % kAlignment == 0 && field(page, kSizeOffset) == (page.size() | kLayoutVersion);
}

} // namespace

std::uint16_t page_checksum(ByteView page, std::uint32_t block) noexcept
{
    const std::uint32_t hash = hash_page(page.data(), page.size() / kRowSize) ^ block;
    return static_cast<std::uint16_t>(hash % 65535 + 1);
}

Lsn page_lsn(ByteView page) noexcept
{
    const std::uint64_t high = load<std::uint32_t>(page.data());
    return Lsn{(high << 32U) | load<std::uint32_t>(page.data() + 4)};
}

PageState check_page(ByteView page, std::uint32_t block, const PageCheck& check) noexcept
{
    if (field(page, kUpperOffset) == 0) {
        return is_zero(page) ? PageState::empty : PageState::bad;
    }
    const bool is_sound =
        (!check.headers || has_sane_header(page)) &&
        (!check.checksums || field(page, kChecksumOffset) == page_checksum(page, block));
    if (is_sound) {
        return PageState::good;
    }
    const Lsn lsn = page_lsn(page);
    return check.start <= lsn && lsn < check.limit ? PageState::changing : PageState::bad;
}

} // namespace pgstrata::postgres
