// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/postgres/page.hpp"

#include <catch2/catch.hpp>

#include <utility>
#include <vector>

using namespace pgstrata;
using namespace pgstrata::postgres;

namespace {

constexpr std::size_t kPageSize = 8192;

using Page = std::vector<std::byte>;

// A page a server wrote, as the few bytes of it that are not zero.
struct Sample {
    std::uint32_t block;
    std::vector<std::pair<std::size_t, int>> bytes;
};

Page make_page(const Sample& sample)
{
    Page page(kPageSize);
    for (const auto& [offset, value] : sample.bytes) {
        page[offset] = static_cast<std::byte>(value);
    }
    return page;
}

// From freshly made clusters of 15 and 18: a visibility map, two indexes and a free space map.
const Sample kVisibilityMap{0,
                            {{5, 34},
                             {6, 107},
                             {7, 1},
                             {8, 220},
                             {9, 246},
                             {12, 24},
                             {15, 32},
                             {17, 32},
                             {18, 4},
                             {19, 32},
                             {24, 15}}};
const Sample kIndex{1, {{4, 192},    {5, 240},   {6, 70},   {7, 1},    {8, 18},   {9, 178},
                        {12, 28},    {14, 224},  {15, 31},  {16, 240}, {17, 31},  {18, 4},
                        {19, 32},    {24, 224},  {25, 159}, {26, 32},  {8164, 1}, {8166, 16},
                        {8168, 247}, {8169, 52}, {8188, 3}}};
const Sample kRootIndex{3, {{4, 64},    {5, 254},  {6, 51},   {7, 1},     {8, 57},    {9, 113},
                            {12, 32},   {14, 216}, {15, 31},  {16, 240},  {17, 31},   {18, 4},
                            {19, 32},   {24, 232}, {25, 159}, {26, 16},   {28, 216},  {29, 159},
                            {30, 32},   {8154, 2}, {8156, 1}, {8158, 16}, {8159, 32}, {8160, 143},
                            {8161, 47}, {8170, 1}, {8174, 8}, {8175, 32}, {8184, 1},  {8188, 2}}};
const Sample kFreeSpaceMap{1, {{5, 113},    {6, 89},     {7, 1},     {8, 140},   {9, 194},
                               {12, 24},    {15, 32},    {17, 32},   {18, 4},    {19, 32},
                               {28, 100},   {29, 100},   {31, 100},  {35, 100},  {43, 100},
                               {59, 100},   {91, 100},   {155, 100}, {283, 100}, {539, 100},
                               {1051, 100}, {2075, 100}, {4123, 100}}};

constexpr std::uint64_t kIndexLsn = 0x146F0C0;

PageCheck check_between(std::uint64_t start, std::uint64_t limit)
{
    return {.checksums = true, .headers = true, .start = Lsn{start}, .limit = Lsn{limit}};
}

// No LSN lies in it, so nothing passes as being written.
const PageCheck kQuiet = check_between(0, 0);

void refresh_checksum(Page& page, std::uint32_t block)
{
    store(page.data() + 8, page_checksum(page, block));
}

} // namespace

TEST_CASE("checksums equal those a server wrote", "[postgres][page]")
{
    for (const Sample& sample : {kVisibilityMap, kIndex, kRootIndex, kFreeSpaceMap}) {
        const Page page = make_page(sample);
        CHECK(page_checksum(page, sample.block) == load<std::uint16_t>(page.data() + 8));
        CHECK(check_page(page, sample.block, kQuiet) == PageState::good);
    }
}

TEST_CASE("a page in another place has another checksum", "[postgres][page][bug-13]")
{
    const Page page = make_page(kIndex);

    CHECK(check_page(page, kIndex.block + 131072, kQuiet) == PageState::bad);
    CHECK(check_page(page, 0, kQuiet) == PageState::bad);
}

TEST_CASE("every byte of a page but its checksum counts", "[postgres][page]")
{
    Page page = make_page(kIndex);
    const std::uint16_t checksum = page_checksum(page, 1);

    for (std::size_t at = 0; at < page.size(); ++at) {
        page[at] ^= std::byte{0x01};
        const bool is_checksum_field = at == 8 || at == 9;
        REQUIRE((page_checksum(page, 1) == checksum) == is_checksum_field);
        page[at] ^= std::byte{0x01};
    }
}

TEST_CASE("pages of other sizes and at odd addresses have checksums", "[postgres][page]")
{
    const Page page = make_page(kIndex);
    Page shifted(page.size() + 1);
    std::copy(page.begin(), page.end(), shifted.begin() + 1);

    CHECK(page_checksum(ByteView(shifted).subspan(1), 1) == page_checksum(page, 1));
    CHECK(page_checksum(ByteView(page).first(1024), 1) != page_checksum(page, 1));
}

TEST_CASE("the LSN's high half comes first", "[postgres][page]")
{
    Page page = make_page(kIndex);
    CHECK(page_lsn(page) == Lsn{kIndexLsn});
    store<std::uint32_t>(page.data(), 0xA);
    CHECK(page_lsn(page) == Lsn{0xA00000000 + kIndexLsn});
}

TEST_CASE("a zero page is empty, and anything in it makes it bad", "[postgres][page][bug-12]")
{
    Page page(kPageSize);
    CHECK(check_page(page, 7, kQuiet) == PageState::empty);

    const std::size_t at = GENERATE(0U, 8U, 12U, 24U, 4096U, 8191U);
    page[at] = std::byte{1};
    CHECK(check_page(page, 7, kQuiet) == PageState::bad);
    CHECK(check_page(page, 7, check_between(0, ~std::uint64_t{0})) == PageState::bad);
}

TEST_CASE("a wrong checksum is damage unless the page is being written", "[postgres][page][bug-12]")
{
    Page page = make_page(kIndex);
    page[8100] ^= std::byte{1};

    CHECK(check_page(page, 1, check_between(kIndexLsn + 1, kIndexLsn + 100)) == PageState::bad);
    CHECK(check_page(page, 1, check_between(kIndexLsn, kIndexLsn + 1)) == PageState::changing);
    CHECK(check_page(page, 1, check_between(kIndexLsn - 100, kIndexLsn)) == PageState::bad);
}

TEST_CASE("a garbage LSN does not hide damage", "[postgres][page][bug-12]")
{
    Page page = make_page(kIndex);
    store<std::uint32_t>(page.data(), 0xFFFFFFFF);

    CHECK(check_page(page, 1, check_between(0x1000000, 0x2000000)) == PageState::bad);
}

TEST_CASE("a right checksum is good whatever the LSN", "[postgres][page][bug-12]")
{
    const Page page = make_page(kIndex);

    CHECK(check_page(page, 1, check_between(0x100, 0x200)) == PageState::good);
    CHECK(check_page(page, 1, check_between(0x2000000, 0x3000000)) == PageState::good);
}

TEST_CASE("without data checksums only the header is looked at", "[postgres][page]")
{
    Page page = make_page(kIndex);
    page[8100] ^= std::byte{1};
    PageCheck check = kQuiet;
    check.checksums = false;
    CHECK(check_page(page, 1, check) == PageState::good);

    store<std::uint16_t>(page.data() + 12, 9000);
    CHECK(check_page(page, 1, check) == PageState::bad);
    check.headers = false;
    CHECK(check_page(page, 1, check) == PageState::good);
}

TEST_CASE("a header that cannot be is damage even under a right checksum", "[postgres][page]")
{
    struct Case {
        std::size_t offset;
        std::uint16_t value;
    };
    const auto& [offset, value] = GENERATE(Case{12, 23},     // lower inside the header
                                           Case{12, 8161},   // lower above upper
                                           Case{14, 8177},   // upper above special
                                           Case{16, 8193},   // special beyond the page
                                           Case{16, 8180},   // special not aligned
                                           Case{18, 0x2003}, // layout version
                                           Case{18, 0x4004}, // page size
                                           Case{18, 0});
    CAPTURE(offset, value);
    Page page = make_page(kIndex);
    store(page.data() + offset, value);
    refresh_checksum(page, 1);

    CHECK(check_page(page, 1, kQuiet) == PageState::bad);
    CHECK(check_page(page, 1, check_between(0, ~std::uint64_t{0})) == PageState::changing);
    PageCheck check = kQuiet;
    check.headers = false;
    CHECK(check_page(page, 1, check) == PageState::good);
}
