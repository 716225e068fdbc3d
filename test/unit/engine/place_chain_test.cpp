// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/engine/place_fixture.hpp"

#include <numeric>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeChain;
using pgstrata::test::HasCode;
using pgstrata::test::kMebibyte;
using pgstrata::test::kPage;
using pgstrata::test::kRestoreStanza;
using pgstrata::test::random_text;

namespace {

// Numbers from `first` to before `last`.
std::vector<std::uint32_t> pages_between(std::uint32_t first, std::uint32_t last)
{
    std::vector<std::uint32_t> numbers(last - first);
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

// A file of which every backup gets its contents noted, to compare with.
struct ChangingFile : HandMadeChain {
    // The first backup, in frames of a mebibyte.
    void make_full(std::uint32_t pages)
    {
        contents = random_text(pages * kPage, ++seed);
        for (std::size_t at = 0; at < contents.size(); at += kMebibyte) {
            add_pages(std::string_view(contents).substr(at, kMebibyte));
        }
        finish_map(pages);
    }

    // Gives the file another length and these pages new contents, each list in frames of its own.
    void change(std::uint32_t pages, const std::vector<std::vector<std::uint32_t>>& lists)
    {
        contents.resize(pages * kPage);
        map.is_dense = false;
        for (const auto& numbers : lists) {
            const std::string text = random_text(numbers.size() * kPage, ++seed);
            for (std::size_t i = 0; i < numbers.size(); ++i) {
                contents.replace(numbers[i] * kPage, kPage, text, i * kPage, kPage);
            }
            map.numbers.insert(map.numbers.end(), numbers.begin(), numbers.end());
            for (std::size_t at = 0; at < text.size(); at += kMebibyte) {
                add_pages(std::string_view(text).substr(at, kMebibyte));
            }
        }
        finish_map(pages);
    }

    // A full and three increments: pages change, the file grows, shrinks, and grows again.
    void make_history(std::uint32_t pages)
    {
        const std::uint32_t half = pages / 2;
        make_full(pages);
        change(pages + 20, {{0, 5, 6, half, pages - 1}, pages_between(pages, pages + 20)});
        change(half + 3, {{7}});
        change(pages + 10,
               {{5, 8}, pages_between(half + 3, half + 40), pages_between(half + 40, pages + 10)});
    }

    void damage_pack(unsigned backup, std::uint32_t number) const
    {
        const std::string path = repository::pack_path(kRestoreStanza, label(backup), number);
        Buffer pack = read_object(path);
        pack.span()[pack.size() / 2] ^= std::byte{1};
        replace_object(path, pack);
    }

    std::string contents;
    unsigned seed = 0;
};

} // namespace

TEST_CASE_METHOD(ChangingFile,
                 "every page comes from the newest backup that has it",
                 "[place][bug-41]")
{
    // Less than a large file, one part, and several.
    make_history(GENERATE(100U, 200U, 4500U));
    finish_file(contents.size());
    const PlaceReport report = place(GENERATE(1U, 3U));
    CHECK((placed("base/5/16384") == contents));
    CHECK(report.bytes_fetched == contents.size());
    CHECK(report.bytes_kept == 0);
    CHECK(report.bytes_compared == 0);
    CHECK(done == contents.size());
}

TEST_CASE_METHOD(ChangingFile, "segments of a relation have chains of their own", "[place][bug-13]")
{
    make_history(200);
    finish_file(contents.size());
    const std::string first = contents;
    make_full(300);
    change(300, {{1, 2, 299}});
    finish_file(contents.size(), "base/5/16384.1");
    const std::string second = contents;
    make_history(130);
    finish_file(contents.size(), "base/5/16384.2");
    place(2);
    CHECK((placed("base/5/16384") == first));
    CHECK((placed("base/5/16384.1") == second));
    CHECK((placed("base/5/16384.2") == contents));
}

TEST_CASE_METHOD(ChangingFile,
                 "damage in a frame that no current page needs does not hinder",
                 "[place][bug-41]")
{
    const std::uint32_t pages = GENERATE(100U, 400U);
    make_full(pages);
    change(pages, {pages_between(0, std::min(pages - 1, 128U)), {pages - 1}});
    change(pages, {{pages - 1}});
    finish_file(contents.size());
    damage_pack(0, 0); // all its pages are in the second backup
    damage_pack(1, 1); // the third has its page
    place();
    CHECK((placed("base/5/16384") == contents));

    damage_pack(1, 0);
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains("base/5/16384"));
}

TEST_CASE_METHOD(ChangingFile, "a page that is in no map is refused by name", "[place][bug-41]")
{
    const std::uint32_t pages = GENERATE(100U, 200U);
    make_full(pages);
    SECTION("after growth")
    {
        change(pages + 2, {{pages + 1}});
    }
    SECTION("after the file was cut off and grew again")
    {
        change(pages - 10, {});
        change(pages, {pages_between(pages - 9, pages)});
    }
    finish_file(contents.size());
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::format));
    CHECK_THROWS_WITH(place(), Catch::Contains("base/5/16384"));
}

TEST_CASE_METHOD(ChangingFile, "a page of an increment is held against its hash", "[place][bug-41]")
{
    const std::uint32_t pages = GENERATE(100U, 200U);
    make_full(pages);
    map.is_dense = false;
    map.numbers = {3, 9};
    add_pages(random_text(2 * kPage, 99));
    map.hashes[1] ^= 1U;
    finish_map(pages);
    finish_file(contents.size());
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains("page 9 of file 'base/5/16384'"));
}

TEST_CASE_METHOD(ChangingFile,
                 "a delta fetches only pages that differ, whatever backup they are in",
                 "[place][delta]")
{
    const std::uint32_t pages = GENERATE(100U, 4500U);
    make_history(pages);
    finish_file(contents.size());
    place();
    reuse = Reuse::contents;
    std::string found = contents;
    found[5 * kPage + 17] ^= 1;                // in the last increment
    found[7 * kPage] ^= 1;                     // in the one before
    found[(contents.size() - kPage) - 1] ^= 1; // in the last one again
    found[1 * kPage] ^= 1;                     // in the full
    test::write_text_file(target / "base/5/16384", found);
    damage_pack(1, 1); // nothing of it is needed any more

    const PlaceReport report = place(GENERATE(1U, 3U));
    CHECK((placed("base/5/16384") == contents));
    CHECK(report.bytes_fetched == 4 * kPage);
    CHECK(report.bytes_kept == contents.size() - 4 * kPage);
    CHECK(report.bytes_compared == contents.size());
}
