// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/page_map.hpp"

#include "repository/extent_codec.hpp"

#include "pgstrata/util/serial.hpp"

#include <bit>

namespace pgstrata::repository {

namespace {

constexpr std::uint8_t kPageMapVersion = 1;
constexpr std::uint8_t kDenseFlag = 1;

void decode_numbers(SerialReader& in, PageMap& map, std::size_t count)
{
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < count; ++i) {
        number += in.varint(map.file_pages);
        if (number >= map.file_pages || (i != 0 && number <= map.numbers.back())) {
            in.fail("page numbers are out of order");
        }
        map.numbers.push_back(static_cast<std::uint32_t>(number));
    }
}

} // namespace

void encode_page_map(const PageMap& map, Buffer& out)
{
    SerialWriter writer(out);
    writer.u8(kPageMapVersion);
    writer.u8(map.is_dense ? kDenseFlag : 0);
    writer.varint(map.page_size);
    writer.varint(map.file_pages);
    writer.varint(map.hashes.size());
    writer.varint(map.extents.size());
    for (const Extent& extent : map.extents) {
        encode_extent(extent, writer);
    }
    std::uint32_t previous = 0;
    for (const std::uint32_t number : map.numbers) {
        writer.varint(number - previous);
        previous = number;
    }
    writer.raw(std::as_bytes(std::span(map.hashes)));
}

PageMap decode_page_map(ByteView bytes, std::string_view what)
{
    SerialReader in(bytes, what);
    if (in.u8() != kPageMapVersion) {
        in.fail("a page map of another version");
    }
    const std::uint8_t flags = in.u8();
    PageMap map;
    map.is_dense = flags == kDenseFlag;
    map.page_size = static_cast<std::uint32_t>(in.varint(32768));
    map.file_pages = in.varint_u32();
    // Each stored page has a hash of eight bytes in here, which bounds everything that is
    // allocated.
    const std::size_t stored = in.varint(in.remaining() / sizeof(std::uint64_t));
    const std::size_t extents = in.varint(in.remaining());
    if (flags > kDenseFlag || map.page_size < 1024 || !std::has_single_bit(map.page_size) ||
        stored > map.file_pages || (map.is_dense && stored != map.file_pages)) {
        in.fail("sizes do not fit");
    }
    std::uint64_t extent_bytes = 0;
    for (std::size_t i = 0; i < extents; ++i) {
        map.extents.push_back(decode_extent(in));
        extent_bytes += map.extents.back().size;
        const std::uint32_t size = map.extents.back().size;
        if (size == 0 || size % map.page_size != 0) {
            in.fail("an extent is no whole number of pages");
        }
    }
    if (extent_bytes != std::uint64_t{stored} * map.page_size) {
        in.fail("the extents do not hold the pages");
    }
    if (!map.is_dense) {
        map.numbers.reserve(stored);
        decode_numbers(in, map, stored);
    }
    const ByteView hashes = in.raw(stored * sizeof(std::uint64_t));
    map.hashes.resize(stored);
    if (stored != 0) {
        std::memcpy(map.hashes.data(), hashes.data(), hashes.size());
    }
    if (!in.at_end()) {
        in.fail("there are bytes after its end");
    }
    return map;
}

} // namespace pgstrata::repository
