// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/file_pages.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

// Chains of maps in packs of several backups.
namespace {

constexpr auto kDelta = "20261121-020000F_20261121-030000I";
constexpr std::uint32_t kChainPage = 1024;

codec::FrameBody body_of(ByteView bytes)
{
    return {bytes, static_cast<std::uint32_t>(bytes.size()), codec::FrameCodec::none};
}

// The packs of one backup, each with one frame.
class Backup {
public:
    Backup(const MemoryRepository& memory, std::string label)
        : set_(*memory.repository, kStanza, std::move(label), 1)
    {
    }

    Extent add(ByteView bytes)
    {
        PackWriter writer(set_);
        const Extent extent = writer.append(body_of(bytes));
        writer.finish();
        return extent;
    }
    Extent add(const PageMap& map)
    {
        Buffer bytes;
        encode_page_map(map, bytes);
        return add(bytes);
    }
    std::vector<PackInfo> packs() const { return set_.finished(); }

private:
    PackSet set_;
};

// A file of three pages in a full backup, and its last two pages in a delta.
struct Chain {
    explicit Chain(const CipherSetting& setting = {})
        : memory(setting), full(memory, kLabel), delta(memory, kDelta)
    {
        full.add(as_bytes("something else"));
        PageMap map;
        map.page_size = kChainPage;
        map.file_pages = 3;
        map.hashes = {1, 2, 3};
        map.extents = {full.add(as_bytes(std::string(3 * kChainPage, 'f')))};
        full_map = map;

        map.is_dense = false;
        map.file_pages = 4;
        map.numbers = {1, 3};
        map.hashes = {12, 14};
        map.extents = {delta.add(as_bytes(std::string(2 * kChainPage, 'd')))};
        delta_map = map;
    }

    // Enters the maps as the file's; the manifest lists the packs of both.
    void finish()
    {
        Extent newer = delta.add(delta_map);
        Extent older = full.add(full_map);
        packs = full.packs();
        newer.pack += static_cast<std::uint32_t>(packs.size());
        for (const PackInfo& pack : delta.packs()) {
            packs.push_back(pack);
        }
        extents = {newer, older};
    }

    std::vector<PageMap> read() const
    {
        PackReader reader(*memory.repository, kStanza, packs);
        return read_page_maps(reader, packs, extents, "a file");
    }
    void check_refused() const { CHECK_THROWS_MATCHES(read(), Error, HasCode(ErrorCode::format)); }

    MemoryRepository memory;
    Backup full;
    Backup delta;
    PageMap full_map;
    PageMap delta_map;
    std::vector<PackInfo> packs;
    std::vector<Extent> extents;
};

std::string bytes_of(const Chain& chain, const FilePages& pages)
{
    PackReader reader(*chain.memory.repository, kStanza, chain.packs);
    std::string bytes;
    for (const PageRun& run : pages.runs()) {
        bytes += as_text(reader.read(run.where));
    }
    return bytes;
}

} // namespace

TEST_CASE("a chain of maps leads into the packs of each map's backup",
          "[repository][file_pages][bug-3][bug-10]")
{
    Chain chain(GENERATE(CipherSetting(), gcm_setting()));
    chain.finish();
    // Both maps call the pack of their pages by its number in their own backup.
    REQUIRE(chain.full_map.extents[0].pack == 1);
    REQUIRE(chain.delta_map.extents[0].pack == 0);

    const std::vector<PageMap> maps = chain.read();

    REQUIRE(maps.size() == 2);
    CHECK(maps[0].extents[0].pack == 3); // behind the three packs of the full
    CHECK(maps[1].extents[0].pack == 1);
    const FilePages pages(maps, "a file");
    CHECK(pages.hashes() == std::vector<std::uint64_t>{1, 12, 3, 14});
    CHECK(bytes_of(chain, pages) == std::string(kChainPage, 'f') + std::string(kChainPage, 'd') +
                                        std::string(kChainPage, 'f') +
                                        std::string(kChainPage, 'd'));
}

TEST_CASE("a map may be cut into extents of its backup", "[repository][file_pages]")
{
    Chain chain;
    chain.finish();
    Extent tail = chain.extents[0];
    chain.extents[0].size = 5;
    tail.position += 5;
    tail.size -= 5;
    chain.extents.insert(chain.extents.begin() + 1, tail);
    CHECK(chain.read().size() == 2);
}

TEST_CASE("nothing behind a dense map is looked at", "[repository][file_pages]")
{
    Chain chain;
    chain.delta_map.is_dense = true;
    chain.delta_map.numbers.clear();
    chain.delta_map.file_pages = 2;
    chain.finish();
    chain.extents[1].offset = 1;
    CHECK(chain.read().size() == 1);
}

TEST_CASE("maps that lead out of their backup are refused", "[repository][file_pages][bug-54]")
{
    Chain chain;
    Extent& extent = chain.delta_map.extents[0];
    SECTION("a pack that the backup does not have")
    {
        extent.pack = GENERATE(2U, 3U, 0xFFFFFFFFU);
    }
    SECTION("a place behind the pack")
    {
        extent.offset = GENERATE(std::uint64_t{1} << 20U, ~std::uint64_t{0});
    }
    SECTION("a length behind the pack")
    {
        extent.length = GENERATE(1U << 20U, ~0U);
    }
    chain.finish();
    chain.check_refused();
}

TEST_CASE("chains that no backup writes are refused", "[repository][file_pages][bug-54]")
{
    Chain chain;
    chain.finish();
    SECTION("the older map first")
    {
        chain.full_map.is_dense = false;
        chain.full_map.numbers = {0, 1, 2};
        chain.extents[1] = chain.full.add(chain.full_map);
        chain.packs = chain.full.packs();
        chain.extents[0].pack = static_cast<std::uint32_t>(chain.packs.size()) + 1;
        for (const PackInfo& pack : chain.delta.packs()) {
            chain.packs.push_back(pack);
        }
        REQUIRE(chain.read().size() == 2);
        std::swap(chain.extents[0], chain.extents[1]);
    }
    SECTION("a pack that the table does not have")
    {
        chain.extents[1].pack = 100;
    }
    SECTION("half a map")
    {
        chain.extents[0].size -= 1;
    }
    SECTION("two maps where one is")
    {
        chain.extents.insert(chain.extents.begin(), chain.extents[0]);
    }
    chain.check_refused();
}

TEST_CASE("a map that never ends takes no more memory than a map may",
          "[repository][file_pages][bug-54]")
{
    Chain chain;
    chain.finish();
    Extent frame = chain.full.add(as_bytes(std::string(codec::kFrameRawLimit, 'x')));
    chain.packs = chain.full.packs();
    chain.extents.assign(300, frame);
    CHECK_THROWS_WITH(chain.read(), Catch::Contains("too large"));
}
