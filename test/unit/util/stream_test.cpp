// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/stream.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace pgstrata;

TEST_CASE("bytes in memory are read at any place, fewer only at the end", "[util][stream]")
{
    const auto [offset, wanted, expected] =
        GENERATE(table<std::uint64_t, std::size_t, std::string>({
            {0, 3, "abc"},
            {2, 10, "cdef"},
            {5, 1, "f"},
            {6, 1, ""},
            {7, 1, ""},
            {std::numeric_limits<std::uint64_t>::max(), 4, ""},
            {0, 0, ""},
        }));
    const MemorySource source(as_bytes("abcdef"));
    Buffer out(wanted);
    out.resize(source.read_at(offset, out.span()));
    CHECK(source.size() == 6);
    CHECK(as_text(out) == expected);
}

TEST_CASE("a sink collects what is written to it in order", "[util][stream]")
{
    Buffer out;
    BufferSink sink(out);
    sink.write(as_bytes("ab"));
    sink.write({});
    sink.write(as_bytes("c"));
    CHECK(as_text(out) == "abc");
}
