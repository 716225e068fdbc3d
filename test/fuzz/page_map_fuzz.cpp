// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/repository/page_map.hpp"

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::repository;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ByteView bytes = test::input_bytes(data, size);
    test::survives([&] {
        const PageMap map = decode_page_map(bytes, "a page map");
        for (std::size_t i = 0; i < map.stored_pages(); ++i) {
            test::require(map.page_number(i) < map.file_pages);
        }
        // What is accepted has one encoding.
        Buffer again;
        encode_page_map(map, again);
        test::require(std::ranges::equal(again.view(), bytes));
    });
    return 0;
}
