// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/copy_fixture.hpp"
#include "unit/engine/restore_fixture.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

struct CheckedCopy : CopyRun {
    CheckedCopy() { options.check_pages = true; }
    void run()
    {
        plan();
        copy();
    }
    WarningLog warnings;
};

void damage(std::string& pages, std::size_t page)
{
    pages[page * kPageSize + 5000] ^= 1;
}

constexpr std::size_t kLargePages = kSmallFileSize / kPageSize + 100;

} // namespace

TEST_CASE("a damaged page is reported, named and kept as it is", "[engine][copy][bug-12]")
{
    CheckedCopy copy;
    copy.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    const std::size_t pages = GENERATE(as<std::size_t>(), 5, kLargePages);
    std::string content = make_pages(0, pages);
    damage(content, 4);
    damage(content, 1);
    copy.data.write("base/1/1259", content);
    copy.data.write("base/1/2600", make_pages(0, pages));
    copy.run();

    CHECK(copy.file("base/1/1259").is_damaged);
    CHECK(copy.file("base/1/1259").bad_pages == std::vector<std::uint32_t>{1, 4});
    CHECK((copy.read("base/1/1259") == content));
    CHECK_FALSE(copy.file("base/1/2600").is_damaged);
    CHECK_THAT(copy.warnings.text(),
               Catch::Contains("invalid page checksums found in file 'base/1/1259' at pages 1, 4"));
}

TEST_CASE("bad pages in several parts of a shared file are all named, in order",
          "[engine][copy][bug-12]")
{
    CheckedCopy copy;
    copy.options.workers = 4;
    const std::size_t pages = 2 * kCopyPartSize / kPageSize + 3;
    std::string content = make_pages(0, pages);
    for (const std::size_t page : {pages - 1, std::size_t{0}, kCopyPartSize / kPageSize}) {
        damage(content, page);
    }
    copy.data.write("base/1/1259", content);
    copy.run();
    CHECK(copy.file("base/1/1259").bad_pages ==
          std::vector<std::uint32_t>{0, 2048, static_cast<std::uint32_t>(pages - 1)});
}

TEST_CASE("pages are not checked where that is off", "[engine][copy]")
{
    CheckedCopy copy;
    copy.options.check_pages = false;
    std::string content = make_pages(0, 3);
    damage(content, 1);
    copy.data.write("base/1/1259", content);
    copy.run();
    CHECK_FALSE(copy.file("base/1/1259").is_damaged);
    CHECK((copy.read("base/1/1259") == content));
}

TEST_CASE("a relation file that ends within a page is damage and kept as it is", "[engine][copy]")
{
    CheckedCopy copy;
    const std::size_t pages = GENERATE(as<std::size_t>(), 5, kLargePages);
    const std::string content = make_pages(0, pages) + "torn";
    copy.data.write("base/1/1259", content);
    copy.data.write("base/1/pg_filenode.map", content);
    SECTION("where pages are checked")
    {
        copy.run();

        CHECK(copy.file("base/1/1259").is_damaged);
        CHECK_THAT(copy.warnings.text(),
                   Catch::Contains("page misalignment") &&
                       Catch::Contains(fmt::format("file size {} is not", content.size())));
    }
    SECTION("and passed over where they are not")
    {
        copy.options.check_pages = false;
        copy.run();

        CHECK_FALSE(copy.file("base/1/1259").is_damaged);
    }
    CHECK_FALSE(copy.file("base/1/pg_filenode.map").is_damaged);
    CHECK((copy.read("base/1/1259") == content));
}

TEST_CASE("a relation file that was caught while it grew is no damage", "[engine][copy]")
{
    CheckedCopy copy;
    const std::string grown = make_pages(0, 6);
    copy.data.write("base/1/1259", grown.substr(0, grown.size() - 4000));
    copy.plan();
    copy.data.write("base/1/1259", grown);
    copy.copy();

    CHECK_FALSE(copy.file("base/1/1259").is_damaged);
    CHECK(copy.warnings.text().find("misalignment") == std::string::npos);
}

TEST_CASE("pages of later segments are checked under their number in the relation",
          "[engine][copy][bug-13]")
{
    CheckedCopy copy;
    copy.options.segment_pages = 40;
    const std::size_t pages = GENERATE(as<std::size_t>(), 3, 40);
    copy.data.write("base/1/1259.2", make_pages(80, pages));
    copy.data.write("base/1/1260.2", make_pages(0, pages));
    copy.run();

    CHECK_FALSE(copy.file("base/1/1259.2").is_damaged);
    CHECK((copy.read("base/1/1259.2") == make_pages(80, pages)));
    // Numbers are counted within the file.
    CHECK(copy.file("base/1/1260.2").bad_pages.size() == pages);
    CHECK(copy.file("base/1/1260.2").bad_pages.back() == pages - 1);
}

TEST_CASE("a torn page of a change that will be replayed is no damage", "[engine][copy][bug-12]")
{
    CheckedCopy copy;
    const auto [lsn, is_damaged] = GENERATE(table<std::uint64_t, bool>({
        {0xFFFFFF, true},   // before the backup began
        {0x1000000, false}, // at its start
        {0x1FFFFFF, false},
        {0x2000000, true}, // later than the server can have written
    }));
    std::string content = make_pages(0, 2) + make_page(2, 'x', {lsn});
    damage(content, 2);
    copy.data.write("base/1/1259", content);
    copy.run();
    CAPTURE(lsn);
    CHECK(copy.file("base/1/1259").is_damaged == is_damaged);
    CHECK((copy.read("base/1/1259") == content));
}

TEST_CASE("new pages are no damage, and those that only claim to be new are",
          "[engine][copy][bug-12]")
{
    CheckedCopy copy;
    std::string content = make_pages(0, 3);
    content.replace(kPageSize, kPageSize, std::string(kPageSize, '\0'));
    copy.data.write("base/1/1259", content);
    content[kPageSize + 100] = 'x';
    copy.data.write("base/1/1260", content);
    copy.run();
    CHECK_FALSE(copy.file("base/1/1259").is_damaged);
    CHECK(copy.file("base/1/1260").bad_pages == std::vector<std::uint32_t>{1});
}

TEST_CASE("what is no relation has no pages to check", "[engine][copy][bug-5]")
{
    CheckedCopy copy;
    copy.data.write("pg_xact/0000", std::string(kPageSize, 'x'));
    copy.data.write("base/1/PG_VERSION", std::string(kPageSize + 1, 'x'));
    copy.run();
    CHECK_FALSE(copy.file("pg_xact/0000").is_damaged);
    CHECK_FALSE(copy.file("base/1/PG_VERSION").is_damaged);
}
