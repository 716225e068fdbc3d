// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/stream.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
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

namespace {

// Counts what it is asked for.
class CountingSource final : public RandomSource {
public:
    explicit CountingSource(ByteView content) : source_(content) {}
    std::uint64_t size() const override { return source_.size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        ++reads;
        const std::size_t count = source_.read_at(offset, out);
        bytes += count;
        return count;
    }

    mutable std::size_t reads = 0;
    mutable std::size_t bytes = 0;

private:
    MemorySource source_;
};

Buffer counted_bytes(std::size_t size)
{
    Buffer bytes(size);
    for (std::size_t i = 0; i + 4 <= size; i += 4) {
        store(bytes.data() + i, static_cast<std::uint32_t>(i));
    }
    return bytes;
}

} // namespace

TEST_CASE("bytes are seen where they lie, or read into room, fewer only at the end",
          "[util][stream]")
{
    const MemorySource memory(as_bytes("abcdef"));
    const CountingSource read(as_bytes("abcdef"));
    Buffer window;
    const ReadAheadSource ahead(read, window);
    const RandomSource* source = GENERATE_REF(
        static_cast<const RandomSource*>(&memory), &read, static_cast<const RandomSource*>(&ahead));
    Buffer room;

    CHECK(as_text(source->view_at(0, 3, room)) == "abc");
    CHECK(as_text(source->view_at(2, 10, room)) == "cdef");
    CHECK(as_text(source->view_at(5, 1, room)) == "f");
    CHECK(source->view_at(6, 1, room).empty());
    CHECK(source->view_at(std::numeric_limits<std::uint64_t>::max(), 1, room).empty());
    CHECK(as_text(source->view_at(1, 2, room)) == "bc");
}

TEST_CASE("reading ahead reads each byte once, in long reads", "[util][stream]")
{
    const Buffer bytes = counted_bytes(ReadAheadSource::kWindow * 5 / 2);
    const CountingSource source(bytes);
    Buffer window;
    Buffer room;
    const ReadAheadSource ahead(source, window);
    const std::size_t step = GENERATE(std::size_t{40}, std::size_t{700'001});
    const bool is_view = GENERATE(false, true);

    bool is_same = true;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        const std::size_t size = std::min(step, bytes.size() - at);
        ByteView seen;
        if (is_view) {
            seen = ahead.view_at(at, size, room);
        } else {
            room.resize(size);
            room.resize(ahead.read_at(at, room.span()));
            seen = room;
        }
        is_same = is_same && std::ranges::equal(seen, bytes.view().subspan(at, size));
    }

    CHECK(is_same);
    CHECK(source.bytes == bytes.size());
    CHECK(source.reads <= 4);
}

TEST_CASE("reading ahead goes anywhere, and past its window for what is longer", "[util][stream]")
{
    const Buffer bytes = counted_bytes(ReadAheadSource::kWindow * 2 + 10);
    const CountingSource source(bytes);
    Buffer window;
    Buffer room;
    const ReadAheadSource ahead(source, window);
    const auto is_right = [&](std::size_t at, std::size_t size) {
        const std::size_t there = std::min(size, bytes.size() - at);
        return std::ranges::equal(ahead.view_at(at, size, room), bytes.view().subspan(at, there));
    };

    CHECK(is_right(ReadAheadSource::kWindow, 100));
    CHECK(is_right(5, 100)); // back
    CHECK(is_right(0, ReadAheadSource::kWindow + 1));
    CHECK(is_right(bytes.size() - 5, 100));
    Buffer all(ReadAheadSource::kWindow + 7);
    CHECK(ahead.read_at(3, all.span()) == all.size());
    CHECK(std::ranges::equal(all.view(), bytes.view().subspan(3, all.size())));
}
