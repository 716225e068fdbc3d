// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/chain_fixture.hpp"

#include <random>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;

namespace {

constexpr std::size_t kFewPages = 10;
constexpr std::size_t kManyPages = kSmallFileSize / kPageSize + 40;
constexpr std::size_t kParts = 2 * kCopyPartSize / kPageSize + 5;

void put_page(std::string& pages, std::size_t number, const std::string& page)
{
    pages.replace(number * kPageSize, kPageSize, page);
}

// A page that no other version of a file has.
std::string new_page(std::size_t number, char fill)
{
    return make_page(static_cast<std::uint32_t>(number), fill, {0x300000});
}

std::uint64_t own_pack_bytes(const Chain& chain)
{
    std::uint64_t bytes = 0;
    for (const auto& pack : chain.last().packs) {
        bytes += pack.name.label == chain.last().header.label ? pack.size : 0;
    }
    return bytes;
}

} // namespace

TEST_CASE("what did not change is stored once", "[engine][delta]")
{
    Chain chain;
    chain.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    chain.data.write_cluster();
    chain.data.write(kTablePath, make_pages(0, kManyPages));
    chain.data.write("pg_xact/0000", std::string(kSmallFileSize + 1, 'x'));
    chain.take();

    const CopyResult second = chain.take();

    chain.check_all();
    CHECK(second.stored == 0);
    CHECK(second.read == chain.backup_plan.bytes);
    CHECK(own_pack_bytes(chain) == 0);
    CHECK(chain.last().packs.front().name.label == kLabel);
}

TEST_CASE("what has the same size and time is not even read", "[engine][delta]")
{
    Chain chain;
    chain.data.write_cluster();
    chain.data.write(kTablePath, make_pages(0, kFewPages));
    chain.take();
    chain.rules.trust_times = true;
    chain.rules.prior_copy_time = now_nanoseconds() + 10'000'000'000;
    const CopyResult second = chain.take();
    CHECK(second.read == 0);
    CHECK(second.stored == 0);
    CHECK(chain.backup_plan.bytes == 0);
    CHECK(chain.backup_plan.referred == kFewPages * kPageSize + 3 * kPageSize + 3 + 3 + 12);
    chain.check_all();
}

TEST_CASE("only the pages that changed are stored", "[engine][delta][bug-10]")
{
    Chain chain;
    chain.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    chain.pack_size = GENERATE(as<std::uint64_t>(), 64U << 10U, 8U << 20U);
    const std::size_t pages = GENERATE(as<std::size_t>(), kFewPages, kManyPages, kParts);
    std::string content = make_pages(0, pages);
    chain.data.write(kTablePath, content);
    chain.take();
    put_page(content, 0, new_page(0, 'A'));
    put_page(content, 5, new_page(5, 'B'));
    put_page(content, pages - 1, new_page(pages - 1, 'C'));
    chain.data.write(kTablePath, content);

    const CopyResult result = chain.take();

    CHECK(result.stored == 3 * kPageSize);
    chain.check_all();
    CHECK(chain.file(kTablePath).extents.size() >= 2);
}

TEST_CASE("a file may grow, shrink, and shrink and grow again", "[engine][delta][bug-10][bug-11]")
{
    Chain chain;
    const std::size_t pages = GENERATE(as<std::size_t>(), kFewPages, kManyPages);
    const std::string content = make_pages(0, pages);
    chain.data.write(kTablePath, content);
    chain.take();
    SECTION("appended")
    {
        chain.data.write(kTablePath, content + new_page(pages, 'A') + new_page(pages + 1, 'B'));
        CHECK(chain.take().stored == 2 * kPageSize);
    }
    SECTION("truncated")
    {
        chain.data.resize(kTablePath, 4 * kPageSize);
        CHECK(chain.take().stored == 0);
        CHECK(chain.file(kTablePath).size == 4 * kPageSize);
    }
    SECTION("truncated, and grown in the next backup with pages of zeros")
    {
        chain.data.resize(kTablePath, 4 * kPageSize);
        chain.take();
        chain.check_all();
        chain.data.resize(kTablePath, pages * kPageSize);
        CHECK(chain.take().stored == (pages - 4) * kPageSize);
    }
    SECTION("truncated, and grown in the next backup to what it was")
    {
        chain.data.resize(kTablePath, 4 * kPageSize);
        chain.take();
        chain.data.write(kTablePath, content);
        // What was cut off does not come back by itself.
        CHECK(chain.take().stored == (pages - 4) * kPageSize);
    }
    SECTION("truncated and grown between two backups")
    {
        std::string changed = content.substr(0, 4 * kPageSize);
        changed.resize(pages * kPageSize, '\0');
        chain.data.write(kTablePath, changed);
        CHECK(chain.take().stored == (pages - 4) * kPageSize);
    }
    SECTION("made anew")
    {
        chain.data.remove(kTablePath);
        chain.data.write(kTablePath, make_pages(1000, pages / 2));
        CHECK(chain.take().stored == pages / 2 * kPageSize);
        CHECK(chain.file(kTablePath).extents.size() == 1);
    }
    SECTION("gone, and back after a backup without it")
    {
        chain.data.remove(kTablePath);
        chain.take();
        CHECK(find_file(chain.last(), kTablePath) == nullptr);
        chain.data.write(kTablePath, content);
        CHECK(chain.take().stored == pages * kPageSize);
    }
    chain.check_all();
}

TEST_CASE("a file may become another kind of content", "[engine][delta][bug-10]")
{
    const std::vector<std::string> contents = {
        "",
        make_pages(0, kFewPages),
        make_pages(0, kManyPages),
        std::string(1000, 'x'),
        std::string(kSmallFileSize + 100, 'y'),
    };
    const std::size_t from = GENERATE(as<std::size_t>(), 0, 1, 2, 3, 4);
    const std::size_t to = GENERATE(as<std::size_t>(), 0, 1, 2, 3, 4);
    Chain chain;
    chain.data.write(kTablePath, contents[from]);
    chain.data.write("PG_VERSION", "15\n");
    CAPTURE(from, to);
    for (int round = 0; round < 2; ++round) {
        chain.data.write(kTablePath, contents[from]);
        chain.take();
        chain.check_all();
        chain.data.write(kTablePath, contents[to]);
        chain.take();
        chain.check_all();
    }
}

TEST_CASE("files that are stored whole are stored again only when they differ", "[engine][delta]")
{
    Chain chain;
    chain.options.compress_level = GENERATE(std::optional<int>(), std::optional<int>(1));
    const std::size_t size = GENERATE(as<std::size_t>(), 100, kSmallFileSize, 3U << 20U);
    std::string content(size, 'x');
    chain.data.write("pg_xact/0000", content);
    chain.data.write("pg_xact/0001", content);
    chain.take();
    content[size / 2] = 'y';
    chain.data.write("pg_xact/0000", content);
    CHECK(chain.take().stored == size);
    chain.check_all();
    CHECK(chain.take().stored == 0);
    chain.check_all();
}

TEST_CASE("a file that shrinks while it is compared keeps what there was", "[engine][delta][bug-4]")
{
    Chain chain;
    const std::size_t size = GENERATE(as<std::size_t>(), 100, 3U << 20U);
    const std::size_t left = GENERATE(as<std::size_t>(), 0, 99);
    chain.data.write("pg_xact/0000", std::string(size, 'x'));
    chain.data.write(kTablePath, make_pages(0, kManyPages));
    chain.take();
    chain.plan();
    chain.data.resize("pg_xact/0000", left);
    chain.data.resize(kTablePath, 7 * kPageSize);
    chain.copy();
    CHECK(chain.read("pg_xact/0000") == std::string(left, 'x'));
    // Replay truncates it again.
    CHECK((chain.read(kTablePath) ==
           make_pages(0, 7) + std::string((kManyPages - 7) * kPageSize, '\0')));
}

TEST_CASE("files that vanish while a delta is copied leave nothing behind",
          "[engine][delta][bug-2]")
{
    Chain chain;
    chain.data.write_cluster();
    chain.data.write(kTablePath, make_pages(0, kManyPages));
    chain.data.write("base/1/16385", make_pages(0, kFewPages));
    chain.take();
    chain.plan();
    chain.data.remove(kTablePath);
    chain.data.remove("base/1/16385");
    chain.copy();
    CHECK(find_file(chain.last(), kTablePath) == nullptr);
    CHECK(find_file(chain.last(), "base/1/16385") == nullptr);
    chain.check_all();
}

TEST_CASE("a damaged page stays damaged until it is healed", "[engine][delta][bug-12]")
{
    const WarningLog warnings;
    Chain chain;
    chain.options.check_pages = true;
    const std::size_t pages = GENERATE(as<std::size_t>(), kFewPages, kManyPages);
    const std::string whole = make_pages(0, pages);
    std::string damaged = whole;
    damaged[3 * kPageSize + 5000] ^= 1;
    chain.data.write(kTablePath, damaged);
    chain.take();
    REQUIRE(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
    SECTION("another page changes")
    {
        put_page(damaged, 1, new_page(1, 'A'));
        chain.data.write(kTablePath, damaged);
        CHECK(chain.take().stored == kPageSize);
        CHECK(chain.file(kTablePath).is_damaged);
        CHECK(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
    }
    SECTION("nothing is checked")
    {
        chain.options.check_pages = false;
        put_page(damaged, 1, new_page(1, 'A'));
        chain.data.write(kTablePath, damaged);
        chain.take();
        CHECK(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
        chain.data.write(kTablePath, whole);
        chain.take();
        CHECK_FALSE(chain.file(kTablePath).is_damaged);
    }
    SECTION("nothing is read")
    {
        chain.rules.trust_times = true;
        chain.rules.prior_copy_time = now_nanoseconds() + 10'000'000'000;
        CHECK(chain.take().read == 0);
        CHECK(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
    }
    SECTION("WAL names other pages only")
    {
        postgres::ChangedBlocks changes;
        changes.merge({1663, 1, 16384, postgres::Fork::main}, {postgres::kNoLimitBlock, {1}});
        chain.options.changes = &changes;
        put_page(damaged, 1, new_page(1, 'A'));
        chain.data.write(kTablePath, damaged);
        chain.take();
        CHECK(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
    }
    SECTION("it is written again")
    {
        chain.data.write(kTablePath, whole);
        CHECK(chain.take().stored == kPageSize);
        CHECK_FALSE(chain.file(kTablePath).is_damaged);
    }
    chain.check_all();
}

TEST_CASE("a damaged page that passed for one that changes is judged by the next backup",
          "[engine][delta][bug-12]")
{
    const WarningLog warnings;
    Chain chain;
    chain.options.check_pages = true;
    const std::size_t pages = GENERATE(as<std::size_t>(), kFewPages, kManyPages);
    std::string content = make_pages(0, pages);
    put_page(content, 3, make_page(3, 'A', {0x1800000}));
    content[3 * kPageSize + 5000] ^= 1;
    chain.data.write(kTablePath, content);
    chain.take();
    REQUIRE_FALSE(chain.file(kTablePath).is_damaged);

    chain.options.unjudged_from = chain.options.page_check.start;
    chain.options.page_check = {true, true, {0x1900000}, {0x2900000}};
    chain.data.write(kTablePath, content);
    CHECK(chain.take().stored == 0);
    CHECK(chain.file(kTablePath).bad_pages == std::vector<std::uint32_t>{3});
    chain.check_all();
}

TEST_CASE("many small files of a delta share frames", "[engine][delta][bug-10]")
{
    Chain chain;
    chain.options.workers = GENERATE(as<std::size_t>(), 1, 3);
    chain.options.compress_level = 1;
    const auto name = [](unsigned i) { return fmt::format("base/1/{}", 20000 + i); };
    for (unsigned i = 0; i < 200; ++i) {
        chain.data.write(name(i), make_pages(i, 1 + i % 5));
    }
    chain.take();
    std::uint64_t changed = 0;
    for (unsigned i = 0; i < 200; i += 3) {
        std::string pages = make_pages(i, 1 + i % 5);
        put_page(pages, i % 5, new_page(i, 'A'));
        chain.data.write(name(i), pages);
        changed += kPageSize;
    }
    CHECK(chain.take().stored == changed);
    chain.check_all();
}

TEST_CASE("any chain of changes reads back as the files were", "[engine][delta][bug-10]")
{
    std::mt19937 random(7);
    const auto below = [&](std::size_t limit) { return random() % limit; };
    Chain chain;
    chain.pack_size = 256U << 10U;
    chain.options.workers = 2;
    std::vector<std::string> contents(6);
    for (std::size_t round = 0; round < 12; ++round) {
        for (std::size_t i = 0; i < contents.size(); ++i) {
            std::string& content = contents[i];
            if (below(3) == 0) {
                content.resize(below(i < 3 ? 20 : 80) * kPageSize, '\0');
            }
            for (std::size_t n = below(6); n > 0 && !content.empty(); --n) {
                const std::size_t page = below(content.size() / kPageSize);
                put_page(content, page, new_page(page, static_cast<char>('A' + round)));
            }
            if (below(10) == 0) {
                content += "torn";
                chain.data.write(fmt::format("base/1/{}", 30000 + i), content);
                content.resize(content.size() - 4);
            } else {
                chain.data.write(fmt::format("base/1/{}", 30000 + i), content);
            }
        }
        CAPTURE(round);
        chain.take();
        chain.check_all();
    }
    // Nothing of a later backup changes what an earlier one leads to.
    for (const auto& manifest : chain.taken) {
        for (const auto& file : manifest.files) {
            CHECK(read_through_chain(*chain.memory, manifest, file).size() == file.size);
        }
    }
}
