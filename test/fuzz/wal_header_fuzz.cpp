// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/postgres/wal_segment.hpp"

using namespace pgstrata;
using namespace pgstrata::postgres;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ByteView bytes = test::input_bytes(data, size);
    test::survives([&] {
        const WalHeader header = parse_wal_header(bytes);
        test::require(is_wal_segment_size(header.segment_size) && header.page_size != 0);
    });
    // The names in which WAL comes are from outside as well.
    const std::string_view text = as_text(bytes);
    if (const auto name = parse_wal_file_name(text)) {
        test::require(name->name == text);
    }
    for (const std::uint32_t segment_size : {1U << 20U, 16U << 20U, 1U << 30U, 0U, 12345U}) {
        if (const auto segment = parse_wal_segment(text, segment_size)) {
            test::require(to_string(*segment, segment_size) == text);
        }
    }
    return 0;
}
