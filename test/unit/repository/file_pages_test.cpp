// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/file_pages.hpp"

#include <algorithm>
#include <limits>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr std::uint32_t kFilePage = 8192;

// Where `pages` pages lie: in the frame at `offset` of a pack, from its page `skipped` on.
Extent
pages_at(std::uint32_t pack, std::uint64_t offset, std::uint32_t pages, std::uint32_t skipped = 0)
{
    return {pack, offset, 1000, skipped * kFilePage, pages * kFilePage};
}

PageMap dense_map(std::uint32_t pages, std::vector<Extent> extents, std::uint64_t first_hash = 1)
{
    PageMap map;
    map.file_pages = pages;
    map.extents = std::move(extents);
    for (std::uint32_t i = 0; i < pages; ++i) {
        map.hashes.push_back(first_hash + i);
    }
    return map;
}

PageMap delta_map(std::uint32_t file_pages,
                  std::vector<std::uint32_t> numbers,
                  std::vector<Extent> extents,
                  std::uint64_t first_hash)
{
    PageMap map =
        dense_map(static_cast<std::uint32_t>(numbers.size()), std::move(extents), first_hash);
    map.is_dense = false;
    map.file_pages = file_pages;
    map.numbers = std::move(numbers);
    return map;
}

std::string text_of(const FilePages& pages)
{
    std::string text;
    for (const PageRun& run : pages.runs()) {
        const Extent& at = run.where;
        text += fmt::format("{}+{}@{}:{}:{} ",
                            run.first_page,
                            at.size / kFilePage,
                            at.pack,
                            at.offset,
                            at.position / kFilePage);
    }
    return text;
}

FilePages lead(const std::vector<PageMap>& maps)
{
    return FilePages(maps, "a file");
}

void check_refused(const std::vector<PageMap>& maps)
{
    CHECK_THROWS_MATCHES(lead(maps), Error, HasCode(ErrorCode::format));
}

} // namespace

TEST_CASE("one dense map gives its extents", "[repository][file_pages][bug-10]")
{
    const FilePages pages =
        lead({dense_map(6, {pages_at(0, 64, 3, 2), pages_at(0, 5000, 2), pages_at(1, 64, 1)})});
    CHECK(pages.page_size() == kFilePage);
    CHECK(pages.count() == 6);
    CHECK(pages.hashes() == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6});
    CHECK(text_of(pages) == "0+3@0:64:2 3+2@0:5000:0 5+1@1:64:0 ");
}

TEST_CASE("each page is in the newest map that has it", "[repository][file_pages][bug-10]")
{
    const FilePages pages = lead({
        delta_map(5, {1}, {pages_at(2, 64, 1)}, 200),
        delta_map(5, {1, 3}, {pages_at(1, 64, 2)}, 100),
        dense_map(5, {pages_at(0, 64, 5)}),
    });
    CHECK(pages.hashes() == std::vector<std::uint64_t>{1, 200, 3, 101, 5});
    CHECK(text_of(pages) == "0+1@0:64:0 1+1@2:64:0 2+1@0:64:2 3+1@1:64:1 4+1@0:64:4 ");
}

TEST_CASE("what was cut off never comes back", "[repository][file_pages][bug-10][bug-11]")
{
    const PageMap full = dense_map(6, {pages_at(0, 64, 6)});
    SECTION("a file that is shorter now")
    {
        CHECK(text_of(lead({delta_map(2, {}, {}, 0), full})) == "0+2@0:64:0 ");
    }
    SECTION("a file that has no pages any more")
    {
        CHECK(lead({delta_map(0, {}, {}, 0), full}).count() == 0);
    }
    SECTION("a file that has grown again, with all its new pages")
    {
        const FilePages pages = lead({
            delta_map(5, {2, 3, 4}, {pages_at(2, 64, 3)}, 200),
            delta_map(2, {}, {}, 0),
            full,
        });
        CHECK(pages.hashes() == std::vector<std::uint64_t>{1, 2, 200, 201, 202});
        CHECK(text_of(pages) == "0+2@0:64:0 2+3@2:64:0 ");
    }
    SECTION("a file that has grown again, but a new page is nowhere")
    {
        check_refused({
            delta_map(5, {2, 4}, {pages_at(2, 64, 2)}, 200),
            delta_map(2, {}, {}, 0),
            full,
        });
    }
    SECTION("a dense map of a shorter file")
    {
        check_refused({
            delta_map(6, {5}, {pages_at(2, 64, 1)}, 200),
            dense_map(2, {pages_at(1, 64, 2)}),
            full,
        });
    }
}

TEST_CASE("pages that are nowhere are an error", "[repository][file_pages][bug-41][bug-54]")
{
    check_refused({});
    check_refused({delta_map(3, {0, 2}, {pages_at(0, 64, 2)}, 1)});
    check_refused({delta_map(3, {0, 1}, {pages_at(0, 64, 2)}, 1)});
    // As many pages as the file has, but some twice.
    check_refused({
        delta_map(3, {0, 2}, {pages_at(1, 64, 2)}, 1),
        delta_map(3, {0, 2}, {pages_at(0, 64, 2)}, 1),
    });
}

TEST_CASE("a length without pages takes no memory", "[repository][file_pages][bug-54]")
{
    const auto most = std::numeric_limits<std::uint32_t>::max();
    check_refused(
        {delta_map(most, {0}, {pages_at(1, 64, 1)}, 1), dense_map(3, {pages_at(0, 64, 3)})});
}

TEST_CASE("maps of different page sizes do not go together", "[repository][file_pages][bug-54]")
{
    PageMap other = dense_map(4, {pages_at(0, 64, 2)});
    other.page_size = 4096;
    check_refused({delta_map(4, {1}, {pages_at(1, 64, 1)}, 1), other});
}

TEST_CASE("runs join inside a frame and break at its end", "[repository][file_pages]")
{
    SECTION("extents that follow each other in a frame")
    {
        CHECK(text_of(lead({dense_map(4, {pages_at(0, 64, 2), pages_at(0, 64, 2, 2)})})) ==
              "0+4@0:64:0 ");
    }
    SECTION("extents that leave a gap in a frame")
    {
        CHECK(text_of(lead({dense_map(4, {pages_at(0, 64, 2), pages_at(0, 64, 2, 3)})})) ==
              "0+2@0:64:0 2+2@0:64:3 ");
    }
    SECTION("extents that go back in a frame")
    {
        CHECK(text_of(lead({dense_map(4, {pages_at(0, 64, 2, 2), pages_at(0, 64, 2)})})) ==
              "0+2@0:64:2 2+2@0:64:0 ");
    }
    SECTION("frames at the same offset of two packs")
    {
        CHECK(text_of(lead({dense_map(4, {pages_at(0, 64, 2), pages_at(1, 64, 2, 2)})})) ==
              "0+2@0:64:0 2+2@1:64:2 ");
    }
    SECTION("pages that follow each other in a frame, but not in the file")
    {
        CHECK(text_of(lead({delta_map(4, {0, 2}, {pages_at(1, 64, 2)}, 10),
                            dense_map(4, {pages_at(0, 64, 4)})})) ==
              "0+1@1:64:0 1+1@0:64:1 2+1@1:64:1 3+1@0:64:3 ");
    }
    SECTION("pages of two maps in one frame")
    {
        CHECK(text_of(lead({delta_map(2, {0}, {pages_at(0, 64, 1)}, 10),
                            dense_map(2, {pages_at(0, 64, 2)})})) == "0+1@0:64:0 1+1@0:64:1 ");
    }
}
