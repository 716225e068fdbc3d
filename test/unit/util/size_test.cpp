// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/size.hpp"

#include <catch2/catch.hpp>

using pgstrata::format_size;

TEST_CASE("sizes are shown with one decimal at most", "[util][size]")
{
    const auto [bytes, text] = GENERATE(table<std::uint64_t, std::string>({
        {0, "0B"},
        {1, "1B"},
        {1023, "1023B"},
        {1024, "1KB"},
        {1025, "1KB"},
        {1536, "1.5KB"},
        {(1U << 20U) - 1, "1024.0KB"},
        {1U << 20U, "1MB"},
        {26948403, "25.7MB"}, // rounded
        {26948404, "25.7MB"},
        {1U << 30U, "1GB"},
        {std::uint64_t{3} << 40U, "3072GB"},
        {~std::uint64_t{0}, "17179869184.0GB"},
    }));
    CHECK(format_size(bytes) == text);
}
