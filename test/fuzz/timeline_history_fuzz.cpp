// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/postgres/timeline_history.hpp"

using namespace pgstrata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(test::input_bytes(data, size));
    for (const postgres::Timeline timeline : {0U, 1U, 3U, 0xFFFFFFFFU}) {
        test::survives([&] {
            postgres::Timeline last = 0;
            for (const auto& entry : postgres::parse_timeline_history(text, timeline)) {
                test::require(entry.timeline > last && entry.timeline < timeline);
                last = entry.timeline;
            }
        });
    }
    return 0;
}
