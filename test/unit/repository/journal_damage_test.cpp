// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/journal_sample.hpp"

#include "pgstrata/util/serial.hpp"

#include <functional>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

// Journals whose container has no fault, but whose records have.
namespace {

using Fill = std::function<void(SerialWriter&)>;

void add_record(Buffer& raw, const Fill& fill)
{
    Buffer record;
    SerialWriter fields(record);
    fill(fields);
    SerialWriter(raw).varint(record.size());
    raw.append(record);
}

void put_header(SerialWriter& out)
{
    out.u8(1); // header
    out.u8(1); // version
    out.u8(2); // incremental
    out.text(kLabel);
    out.varint(15);
    out.varint(2);
    out.varint(8192);
}

void put_extent(SerialWriter& out, const Extent& extent)
{
    out.varint(extent.pack);
    out.varint(extent.offset);
    out.varint(extent.length);
    out.varint(extent.position);
    out.varint(extent.size);
}

void put_file(SerialWriter& out,
              std::uint64_t size,
              const std::vector<Extent>& extents,
              std::string_view path = "a")
{
    out.u8(2); // file
    out.text(path);
    out.varint(size);
    out.raw(codec::Digest128{});
    out.varint(extents.size());
    for (const Extent& extent : extents) {
        put_extent(out, extent);
    }
}

// A pack with a frame of ten bytes, and its journal of these raw bytes.
struct Stored {
    Stored() : set(*memory.repository, kStanza, kLabel, 1U << 20U)
    {
        PackWriter writer(set);
        extent = writer.append(body_of("0123456789"));
        writer.finish();
        add_record(raw, put_header);
    }
    // One frame, raw or compressed.
    void write(ByteView bytes, codec::ZstdCompressor* compressor = nullptr) const
    {
        const std::string path = journal_path(kStanza, kLabel, 0);
        Buffer object;
        BufferSink sink(object);
        codec::write_object(sink, {codec::ObjectKind::journal, path}, {}, bytes, compressor);
        memory.replace(path, object);
    }
    DurableWork work() const
    {
        write(raw);
        return {*memory.repository, kStanza, kLabel, 1};
    }
    std::optional<StoredFile> find(std::uint64_t size) const
    {
        return work().find_file("a", size, {});
    }

    QuietLog quiet;
    MemoryRepository memory;
    PackSet set;
    Extent extent;
    Buffer raw;
};

} // namespace

TEST_CASE("a journal has the bytes the format says", "[repository][journal]")
{
    Stored stored;
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    const auto file = stored.find(10);
    REQUIRE(file);
    CHECK(file->extents == std::vector<Extent>{stored.extent});
    CHECK(stored.work().header() == sample_journal_header());
}

TEST_CASE("records of a kind that is not known are passed over", "[repository][journal]")
{
    Stored stored;
    add_record(stored.raw, [&](SerialWriter& out) {
        out.u8(200);
        out.text("a");
        out.u8(7);
    });
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    CHECK(stored.find(10));
}

TEST_CASE("a journal that does not begin as one is none", "[repository][journal][bug-54]")
{
    Stored stored;
    const auto with = [&](const Fill& fill) {
        stored.raw.clear();
        add_record(stored.raw, fill);
    };
    SECTION("nothing")
    {
        stored.raw.clear();
    }
    SECTION("a record of nothing")
    {
        with([](SerialWriter&) {});
    }
    SECTION("a file first")
    {
        with([&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
        add_record(stored.raw, put_header);
    }
    SECTION("two headers")
    {
        add_record(stored.raw, put_header);
    }
    SECTION("a header with more behind it")
    {
        with([](SerialWriter& out) {
            put_header(out);
            out.u8(0);
        });
    }
    SECTION("another version")
    {
        stored.raw.span()[2] = std::byte{2};
    }
    SECTION("another type of backup")
    {
        stored.raw.span()[3] = std::byte{3};
    }
    SECTION("a record longer than the frame")
    {
        SerialWriter(stored.raw).varint(100);
    }
    SECTION("a path longer than any")
    {
        add_record(stored.raw, [&](SerialWriter& out) {
            out.u8(2);
            out.text(std::string(5000, 'x'));
        });
    }
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    const DurableWork work = stored.work();
    CHECK_FALSE(work.header());
    CHECK(work.packs().empty());
    CHECK_FALSE(work.find_file("a", 10, {}));
}

TEST_CASE("files that cannot be are not found", "[repository][journal][bug-54]")
{
    Stored stored;
    Extent extent = stored.extent;
    std::uint64_t size = 10;
    std::vector<Extent> more;
    SECTION("a size that its extents do not have")
    {
        size = 11;
    }
    SECTION("an extent of nothing")
    {
        more = {{0, 64, 50, 0, 0}};
    }
    SECTION("an extent larger than a frame")
    {
        extent.position = codec::kFrameRawLimit - 9;
    }
    SECTION("another pack")
    {
        extent.pack = GENERATE(1U, ~0U);
    }
    SECTION("behind the pack")
    {
        extent.offset = GENERATE(std::uint64_t{1000}, ~std::uint64_t{0});
    }
    SECTION("longer than the pack")
    {
        extent.length = GENERATE(1000U, ~0U);
    }
    more.push_back(extent);
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, size, more); });
    CHECK_FALSE(stored.find(size));
    // A good record behind it is found.
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    CHECK(stored.find(10));
}

TEST_CASE("a count of extents beyond all bounds takes no memory", "[repository][journal][bug-54]")
{
    Stored stored;
    add_record(stored.raw, [&](SerialWriter& out) {
        out.u8(2);
        out.text("a");
        out.varint(10);
        out.raw(codec::Digest128{});
        out.varint(~std::uint64_t{0});
    });
    CHECK_FALSE(stored.find(10));
}

TEST_CASE("a file with bytes behind its record is not found", "[repository][journal][bug-54]")
{
    Stored stored;
    add_record(stored.raw, [&](SerialWriter& out) {
        put_file(out, 10, {stored.extent});
        out.u8(0);
    });
    CHECK_FALSE(stored.find(10));
}

TEST_CASE("pages that cannot be are not found", "[repository][journal][bug-54]")
{
    Stored stored;
    PackWriter writer(stored.set);
    PageMap map = stored_pages(writer, {1}, 2);
    writer.finish();
    map.extents[0].pack = 0;
    map.extents[0].offset = 64;
    map.extents[0].length = 50;
    SECTION("another page size than the journal's")
    {
        map.page_size = 4096;
        map.extents[0].size = 4096;
    }
    SECTION("a page behind the end")
    {
        map.numbers = {2};
    }
    SECTION("behind the pack")
    {
        map.extents[0].length = 1000;
    }
    SECTION("a pack without a journal")
    {
        map.extents[0].pack = 1;
    }
    Buffer bytes;
    encode_page_map(map, bytes);
    add_record(stored.raw, [&](SerialWriter& out) {
        out.u8(3);
        out.text("a");
        out.raw(bytes);
    });
    CHECK(stored.work().find_pages("a").empty());
    CHECK(stored.work().packs().size() == 1);
}

TEST_CASE("a journal with other records in the same places has nothing of the old ones",
          "[repository][journal][bug-51]")
{
    Stored stored;
    Buffer other;
    other.append(stored.raw);
    add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    add_record(other, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}, "b"); });
    const DurableWork work = stored.work();
    REQUIRE(work.find_file("a", 10, {}));
    // Frames are kept at hand: those who look up for the first time see what is there now.
    const DurableWork later = stored.work();
    stored.write(other);
    CHECK_FALSE(later.find_file("a", 10, {}));
    CHECK_FALSE(later.find_file("b", 10, {}));
}

TEST_CASE("a frame that holds less than it did is not read beyond its end",
          "[repository][journal][bug-54]")
{
    Stored stored;
    for (int i = 0; i < 100; ++i) {
        add_record(stored.raw, [&](SerialWriter& out) { put_file(out, 10, {stored.extent}); });
    }
    codec::ZstdCompressor compressor(1);
    stored.write(stored.raw, &compressor);
    const DurableWork work(*stored.memory.repository, kStanza, kLabel, 1);
    REQUIRE(work.header());
    const std::size_t object = stored.memory.read(journal_path(kStanza, kLabel, 0)).size();
    // Header, frame and end frame: what the frame has stored is all that it holds now.
    const std::size_t held = object - codec::kObjectHeaderSize - 2 * codec::kFrameHeaderSize;
    REQUIRE(held < stored.raw.size() / 2);
    stored.write(stored.raw.view().first(held));
    REQUIRE(stored.memory.read(journal_path(kStanza, kLabel, 0)).size() == object);
    CHECK(work.find_file("a", 10, {})); // in the records that are left
}
