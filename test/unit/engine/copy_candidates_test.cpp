// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/chain_fixture.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using postgres::Fork;
using postgres::kNoLimitBlock;

namespace {

constexpr postgres::Lsn kPriorStart{0x1000000};
constexpr postgres::Lsn kStart{0x2000000};
// The audit looks at one page of a thousand or so: in a file as large as this it does.
constexpr std::size_t kAudited = 10 * 2048;

std::string tracked_page(std::size_t number, char fill, postgres::Lsn lsn = {0x1800000})
{
    return make_page(static_cast<std::uint32_t>(number), fill, lsn);
}

struct TrackedChain : Chain {
    TrackedChain()
    {
        options.changes = &changes;
        options.audit.start = kStart;
        options.audit.prior_start = kPriorStart;
        options.audit.hints_are_logged = true;
    }
    void name(std::uint32_t limit, std::vector<std::uint32_t> blocks, Fork fork = Fork::main)
    {
        changes.merge({1663, 1, 16384, fork}, {limit, std::move(blocks)});
    }
    void fill(std::size_t pages)
    {
        content = make_pages(0, pages);
        data.write(kTablePath, content);
        take();
    }
    void put(std::size_t number, const std::string& page)
    {
        content.replace(number * kPageSize, kPageSize, page);
    }

    std::string content;
    postgres::ChangedBlocks changes;
};

} // namespace

TEST_CASE("only pages that WAL names are read", "[engine][delta][summary]")
{
    TrackedChain chain;
    chain.options.workers = GENERATE(as<std::size_t>(), 1, 3);
    const std::size_t pages = GENERATE(as<std::size_t>(), 10, 100);
    chain.fill(pages);
    chain.name(kNoLimitBlock, {1, 2, 7});
    chain.put(2, tracked_page(2, 'A'));
    chain.put(7, tracked_page(7, 'B'));
    chain.data.write(kTablePath, chain.content);

    const CopyResult result = chain.take();

    // Three are named, two have changed; the audit may look at one more, and once in 200 runs at
    // two.
    CHECK(result.read >= 3 * kPageSize);
    CHECK(result.read <= 5 * kPageSize);
    CHECK(result.stored == 2 * kPageSize);
    chain.check_all();
}

TEST_CASE("from the limit block on, and beyond the prior backup's end, pages come from the file",
          "[engine][delta][summary][bug-11]")
{
    TrackedChain chain;
    const std::size_t pages = GENERATE(as<std::size_t>(), 10, 100);
    chain.fill(pages);
    SECTION("cut and grown again by zero pages that no WAL names")
    {
        chain.name(4, {});
        chain.content.resize(4 * kPageSize);
        chain.content.resize(pages * kPageSize, '\0');
        chain.data.write(kTablePath, chain.content);
        CHECK(chain.take().stored == (pages - 4) * kPageSize);
    }
    SECTION("grown by zero pages that no WAL names")
    {
        chain.content.resize((pages + 3) * kPageSize, '\0');
        chain.data.write(kTablePath, chain.content);
        CHECK(chain.take().stored == 3 * kPageSize);
    }
    SECTION("made anew")
    {
        chain.name(0, {0});
        chain.content = make_pages(500, pages);
        chain.data.write(kTablePath, chain.content);
        CHECK(chain.take().stored == pages * kPageSize);
    }
    SECTION("cut")
    {
        chain.name(4, {});
        chain.content.resize(4 * kPageSize);
        chain.data.write(kTablePath, chain.content);
        CHECK(chain.take().stored == 0);
    }
    chain.check_all();
}

TEST_CASE("blocks of a later segment are counted within the fork",
          "[engine][delta][summary][bug-13]")
{
    TrackedChain chain;
    chain.options.segment_pages = 40;
    std::string second = make_pages(40, 40);
    chain.data.write("base/1/16384", make_pages(0, 40));
    chain.data.write("base/1/16384.1", second);
    chain.take();
    chain.name(kNoLimitBlock, {45});
    second.replace(5 * kPageSize, kPageSize, tracked_page(45, 'A'));
    chain.data.write("base/1/16384", make_pages(0, 40));
    chain.data.write("base/1/16384.1", second);
    CHECK(chain.take().stored == kPageSize);
    chain.check_all();
}

TEST_CASE("maps of free space and of visibility are read whole, whatever WAL says",
          "[engine][delta][summary][bug-11]")
{
    TrackedChain chain;
    const std::string path = GENERATE("base/1/16384_vm", "base/1/16384_fsm");
    std::string pages = make_pages(0, 10);
    chain.data.write(path, pages);
    chain.take();
    chain.name(kNoLimitBlock, {1}, Fork::visibility_map);
    chain.name(kNoLimitBlock, {1}, Fork::free_space_map);
    // A bit that was cleared: the position on the page is as it was.
    pages[6 * kPageSize + 100] ^= 1;
    chain.data.write(path, pages);
    const CopyResult result = chain.take();
    CHECK(result.read == 10 * kPageSize);
    CHECK(result.stored == kPageSize);
    chain.check_all();
}

TEST_CASE("every file of a database that was copied is read", "[engine][delta][summary][bug-11]")
{
    TrackedChain chain;
    chain.fill(10);
    chain.changes.merge({1663, 1, 0, Fork::main}, {0, {}});
    // As a copied database has them: the pages keep their old positions.
    chain.put(6, make_page(6, 'Z'));
    chain.data.write(kTablePath, chain.content);
    CHECK(chain.take().stored == kPageSize);
    chain.check_all();
}

TEST_CASE("a page that changed without a trace in WAL fails the backup",
          "[engine][delta][audit][bug-11]")
{
    TrackedChain chain;
    chain.options.workers = GENERATE(as<std::size_t>(), 1, 2);
    chain.fill(kAudited);
    for (std::size_t i = 0; i < kAudited; ++i) {
        chain.put(i, tracked_page(i, '!'));
    }
    chain.data.write(kTablePath, chain.content);
    CHECK_THROWS_MATCHES(chain.take(), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("pages that the backup's own WAL brings are no lie", "[engine][delta][audit]")
{
    TrackedChain chain;
    chain.fill(kAudited);
    for (std::size_t i = 0; i < kAudited; ++i) {
        chain.put(i, tracked_page(i, '!', kStart));
    }
    chain.data.write(kTablePath, chain.content);
    const CopyResult result = chain.take();
    CHECK(result.stored == 0);
    // Some were looked at, few of all.
    CHECK(result.read >= kPageSize);
    CHECK(result.read < kAudited / 100 * kPageSize);
}

TEST_CASE("pages that are cut off while the backup runs are no lie", "[engine][delta][audit]")
{
    TrackedChain chain;
    chain.options.audit.copy_time = now_nanoseconds();
    chain.fill(kAudited);
    // Touched, so that it is read.
    chain.put(0, tracked_page(0, '!'));
    chain.name(kNoLimitBlock, {0});
    chain.data.write(kTablePath, chain.content);
    chain.plan();
    chain.content.resize(kPageSize);
    SECTION("by a truncation") {}
    SECTION("by one after which the relation grew again")
    {
        chain.content.resize(kAudited * kPageSize, '\0');
    }
    chain.data.write(kTablePath, chain.content);

    CHECK(chain.copy().stored == kPageSize);
}

TEST_CASE("zeros that were there before the backup began and no WAL names fail it",
          "[engine][delta][audit]")
{
    TrackedChain chain;
    chain.fill(kAudited);
    chain.content.assign(kAudited * kPageSize, '\0');
    chain.data.write(kTablePath, chain.content);
    chain.options.audit.copy_time = now_nanoseconds() + 60'000'000'000;
    CHECK_THROWS_MATCHES(chain.take(), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("hint bits may differ where they are not logged", "[engine][delta][audit]")
{
    TrackedChain chain;
    chain.options.audit.hints_are_logged = GENERATE(false, true);
    chain.fill(kAudited);
    for (std::size_t i = 0; i < kAudited; ++i) {
        chain.content[i * kPageSize + 6000] ^= 1;
    }
    chain.data.write(kTablePath, chain.content);
    if (chain.options.audit.hints_are_logged) {
        CHECK_THROWS_MATCHES(chain.take(), Error, HasCode(ErrorCode::checksum));
    } else {
        CHECK(chain.take().stored == 0);
    }
}
