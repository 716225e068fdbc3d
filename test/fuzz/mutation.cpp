// SPDX-License-Identifier: PostgreSQL
#include "fuzz/mutation.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace pgstrata::test {

namespace {

constexpr std::size_t kLongest = 1U << 21U;

std::size_t below(std::size_t limit, Random& random)
{
    return limit == 0 ? 0 : random() % limit;
}

struct Range {
    std::size_t begin = 0;
    std::size_t size = 0;
};

Range pick_range(const std::string& bytes, Random& random)
{
    const std::size_t begin = below(bytes.size(), random);
    const std::size_t limit = std::min<std::size_t>(bytes.size() - begin, 64);
    return {begin, below(limit + 1, random)};
}

void set_number(std::string& bytes, Random& random)
{
    static constexpr std::array<std::uint64_t, 10> kNumbers = {0,
                                                               1,
                                                               0x7F,
                                                               0x80,
                                                               0xFFFF,
                                                               0x7FFFFFFF,
                                                               0x80000000,
                                                               0xFFFFFFFF,
                                                               0x7FFFFFFFFFFFFFFF,
                                                               0xFFFFFFFFFFFFFFFF};
    const std::uint64_t number = kNumbers[below(kNumbers.size(), random)];
    const std::size_t at = below(bytes.size(), random);
    const std::size_t size =
        std::min<std::size_t>(std::size_t{1} << below(4, random), bytes.size() - at);
    std::memcpy(bytes.data() + at, &number, size);
}

void splice(std::string& bytes, const std::string& other, Random& random)
{
    const Range from = pick_range(other, random);
    bytes.insert(below(bytes.size() + 1, random), other, from.begin, from.size);
}

void edit(std::string& bytes, const std::vector<std::string>& seeds, Random& random)
{
    const Range range = pick_range(bytes, random);
    switch (below(8, random)) {
    case 0:
    case 1:
        if (!bytes.empty()) {
            char& byte = bytes[range.begin];
            byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << below(8, random)));
        }
        break;
    case 2:
        set_number(bytes, random);
        break;
    case 3:
        bytes.erase(range.begin, range.size);
        break;
    case 4:
        bytes.insert(range.begin, bytes.substr(range.begin, range.size));
        break;
    case 5:
        splice(bytes, seeds[below(seeds.size(), random)], random);
        break;
    case 6:
        bytes.insert(range.begin, 1, static_cast<char>(random()));
        break;
    default:
        bytes.resize(bytes.size() - below(bytes.size() / 4 + 1, random));
    }
}

} // namespace

std::string mutate(const std::vector<std::string>& seeds, Random& random)
{
    std::string bytes = seeds[below(seeds.size(), random)];
    const std::size_t edits = 1 + below(6, random);
    for (std::size_t i = 0; i < edits && bytes.size() < kLongest; ++i) {
        edit(bytes, seeds, random);
    }
    return bytes;
}

} // namespace pgstrata::test
