// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/journal_sample.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

// How often a reader of packs reads the storage.
namespace {

// Frames of 1000 bytes, each of one letter, ten a pack.
struct Packs {
    explicit Packs(int frames)
    {
        PackSet set(*memory.repository, kStanza, kLabel, 1U << 20U);
        PackWriter writer(set);
        for (int i = 0; i < frames; ++i) {
            extents.push_back(writer.append(body_of(std::string(1000, letter(i)))));
            if (i % 10 == 9) {
                writer.finish();
            }
        }
        writer.finish();
        table = set.finished();
    }
    static char letter(int frame) { return static_cast<char>('a' + frame % 26); }

    MemoryRepository memory;
    std::vector<PackInfo> table;
    std::vector<Extent> extents;
};

class CountedReader {
public:
    CountedReader(const Packs& packs, std::size_t cache_size)
        : packs_(packs), storage_(*packs.memory.storage),
          repository_(Repository::open(storage_, {})),
          reader_(*repository_, kStanza, packs.table, cache_size)
    {
    }
    // How many reads of the storage it takes to read a part of this frame.
    int cost(int frame)
    {
        Extent extent = packs_.extents[static_cast<std::size_t>(frame)];
        extent.position = 500;
        extent.size = 3;
        const int before = storage_.reads();
        const ByteView bytes = reader_.read(extent);
        CHECK(as_text(bytes) == std::string(3, Packs::letter(frame)));
        return storage_.reads() - before;
    }
    int most_open() const { return storage_.most_open(); }

private:
    const Packs& packs_;
    CountingStorage storage_;
    std::unique_ptr<Repository> repository_;
    PackReader reader_;
};

} // namespace

TEST_CASE("frames that were read stay at hand as long as there is room", "[repository][pack]")
{
    const Packs packs(10);
    CountedReader reader(packs, 4000);
    CHECK(reader.cost(0) == 2); // the pack's header, and the frame
    for (const int frame : {1, 2, 3, 4}) {
        CHECK(reader.cost(frame) == 1);
    }
    // Four frames beside the one read last.
    for (const int frame : {0, 4, 1, 3, 2}) {
        CHECK(reader.cost(frame) == 0);
    }
    // The one used longest ago makes room: now 0, then 4.
    CHECK(reader.cost(5) == 1);
    for (const int frame : {1, 3, 2, 5}) {
        CHECK(reader.cost(frame) == 0);
    }
    CHECK(reader.cost(0) == 1);
    CHECK(reader.cost(4) == 1);
}

TEST_CASE("without a cache the frame read last stays", "[repository][pack]")
{
    const Packs packs(3);
    CountedReader reader(packs, 0);
    CHECK(reader.cost(0) == 2);
    CHECK(reader.cost(0) == 0);
    CHECK(reader.cost(1) == 1);
    CHECK(reader.cost(1) == 0);
    CHECK(reader.cost(0) == 1);
}

TEST_CASE("frames of two packs are told apart, and few packs are open", "[repository][pack]")
{
    const Packs packs(200);
    CountedReader reader(packs, std::size_t{1} << 20U);
    for (int round = 0; round < 2; ++round) {
        for (int frame = 0; frame < 200; ++frame) {
            const int first = frame % 10 == 0 ? 2 : 1;
            CHECK(reader.cost(frame) == (round == 0 ? first : 0));
        }
    }
    CHECK(reader.most_open() <= 8);
}

TEST_CASE("small frames do not make the cache long", "[repository][pack]")
{
    const Packs packs(300);
    CountedReader reader(packs, std::size_t{1} << 30U);
    for (int frame = 0; frame < 300; ++frame) {
        reader.cost(frame);
    }
    CHECK(reader.cost(299) == 0);
    CHECK(reader.cost(60) == 0);
    CHECK(reader.cost(0) > 0);
}

TEST_CASE("a frame that cannot be read leaves the others at hand", "[repository][pack][bug-54]")
{
    const Packs packs(5);
    packs.memory.flip(pack_path(kStanza, kLabel, 0), packs.extents[2].offset + 60);
    CountedReader reader(packs, 1000);
    reader.cost(0);
    reader.cost(1);
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_MATCHES(reader.cost(2), Error, HasCode(ErrorCode::checksum));
    }
    reader.cost(1);
    reader.cost(3);
    CHECK(reader.cost(3) == 0);
    CHECK(reader.cost(1) == 0);
}
