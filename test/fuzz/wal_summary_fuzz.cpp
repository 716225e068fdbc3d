// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/postgres/wal_summary.hpp"

#include <algorithm>
#include <functional>

using namespace pgstrata;
using namespace pgstrata::postgres;

namespace {

void check(ByteView bytes)
{
    ChangedBlocks blocks;
    const bool is_accepted = test::survives([&] { merge_wal_summary(bytes, "a summary", blocks); });
    test::require(is_accepted || blocks.forks().empty());
    for (const auto& [fork, changes] : blocks.forks()) {
        test::require(fork.fork <= Fork::init);
        // Ascending and unique.
        test::require(std::ranges::adjacent_find(changes.blocks, std::greater_equal<>()) ==
                      changes.blocks.end());
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ByteView bytes = test::input_bytes(data, size);
    check(bytes);
    // Hardly any change keeps the checksum right, so set it right to get to the entries.
    if (size >= sizeof(std::uint32_t)) {
        Buffer sealed;
        sealed.append(bytes);
        std::byte* const end = sealed.data() + size - sizeof(std::uint32_t);
        store(end, crc32c(bytes.first(size - sizeof(std::uint32_t))));
        check(sealed);
    }
    // The names are from outside as well.
    const std::string_view text = as_text(bytes);
    if (const auto name = parse_wal_summary_name(text)) {
        test::require(to_string(*name) == text);
    }
    return 0;
}
