// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "unit/postgres/wal_summary_builder.hpp"

#include "pgstrata/postgres/wal_summary.hpp"

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::postgres;
using namespace pgstrata::test;

namespace {

using Blocks = std::vector<std::uint32_t>;

ChangedBlocks read(const WalSummaryBuilder& builder)
{
    ChangedBlocks blocks;
    merge_wal_summary(builder.sealed(), "a summary", blocks);
    return blocks;
}

WalSummaryBuilder summary(const std::vector<SummaryEntry>& entries)
{
    WalSummaryBuilder builder;
    for (const SummaryEntry& entry : entries) {
        builder.add(entry);
    }
    return builder.end();
}

void check_refused(const std::vector<std::byte>& bytes, const std::string& reason)
{
    ChangedBlocks into;
    into.merge({1663, 5, 99, Fork::main}, {.limit = 4, .blocks = {1, 2}});
    const auto before = into.forks();

    try {
        merge_wal_summary(bytes, "the summary", into);
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::format);
        CHECK_THAT(error.what(), Catch::Contains("the summary") && Catch::Contains(reason));
    }
    CHECK(into.forks() == before);
}

// Two entries with both kinds of chunks; small enough to be cut at every length.
const std::vector<SummaryEntry> kSample = {{.relation = 100, .chunks = {{7, 3}, {}, {65535}}},
                                           {.relation = 101, .fork = 3, .limit = 9}};

} // namespace

TEST_CASE("the name of a WAL summary tells its stretch", "[postgres][summary]")
{
    const std::string name = "0000000A0000000102000028000000010300FFF0.summary";

    const auto parsed = parse_wal_summary_name(name);

    REQUIRE(parsed);
    CHECK(parsed->timeline == 10);
    CHECK(parsed->start == Lsn{0x102000028});
    CHECK(parsed->end == Lsn{0x10300FFF0});
    CHECK(to_string(*parsed) == name);
}

TEST_CASE("other names are no WAL summaries", "[postgres][summary]")
{
    const std::string name = GENERATE(as<std::string>(),
                                      "",
                                      "temp.summary",
                                      "0000000a0000000102000028000000010300FFF0.summary",
                                      "0000000A0000000102000028000000010300FFF0",
                                      "0000000A0000000102000028000000010300FFF0.SUMMARY",
                                      "0000000A0000000102000028000000010300FFF0.summary ",
                                      "0000000A0000000102000028000000010300FFF00.summary",
                                      "0000000A000000010200002800000001030FFF0.summary",
                                      "0000000A0000000102000028000000010300FFFG.summary",
                                      "/000000A0000000102000028000000010300FFF0.summary",
                                      // Timeline 0, and ends at and before the start.
                                      "000000000000000102000028000000010300FFF0.summary",
                                      "0000000A00000001020000280000000102000028.summary",
                                      "0000000A00000001020000280000000102000020.summary");
    CAPTURE(name);

    CHECK_FALSE(parse_wal_summary_name(name));
}

TEST_CASE("an empty WAL summary of 32 bytes changes nothing", "[postgres][summary]")
{
    std::vector<std::byte> bytes(32);
    store(bytes.data(), std::uint32_t{0x652B137B});
    store(bytes.data() + 28, std::uint32_t{0x4B1671B8}); // reckoned bit by bit elsewhere

    ChangedBlocks blocks;
    merge_wal_summary(bytes, "a summary", blocks);

    CHECK(blocks.forks().empty());
    CHECK(bytes == summary({}).sealed());
}

TEST_CASE("a list of offsets is in no order and may repeat", "[postgres][summary]")
{
    const auto blocks = read(summary({{.relation = 100, .chunks = {{9, 2, 65535, 0, 2}}}}));

    const auto* changes = blocks.find(1663, 5, 100, Fork::main);
    REQUIRE(changes != nullptr);
    CHECK(changes->blocks == Blocks{0, 2, 9, 65535});
    CHECK(changes->limit == kNoLimitBlock);
}

TEST_CASE("a bitmap counts from the low bits", "[postgres][summary]")
{
    Words words(4096);
    words[0] = 0x8001;
    words[1] = 0x0002;
    words[4095] = 0x8000;

    const auto blocks = read(summary({{.relation = 100, .chunks = {words}}}));

    CHECK(blocks.find(1663, 5, 100, Fork::main)->blocks == Blocks{0, 15, 17, 65535});
}

TEST_CASE("a full list of offsets is one short of a bitmap", "[postgres][summary]")
{
    Words words(4095);
    for (std::size_t i = 0; i < words.size(); ++i) {
        words[i] = static_cast<std::uint16_t>(8190 - 2 * i);
    }

    const auto blocks = read(summary({{.relation = 100, .chunks = {words}}}));

    const Blocks& found = blocks.find(1663, 5, 100, Fork::main)->blocks;
    REQUIRE(found.size() == 4095);
    CHECK(found.front() == 2);
    CHECK(found.back() == 8190);
}

TEST_CASE("each chunk covers the next 65536 blocks", "[postgres][summary]")
{
    const auto blocks =
        read(summary({{.relation = 100, .chunks = {{5}, {}, bitmap({0, 4}), {}, {65535, 1}}}}));

    CHECK(blocks.find(1663, 5, 100, Fork::main)->blocks ==
          Blocks{5, 2 * 65536, 2 * 65536 + 4, 4 * 65536 + 1, 4 * 65536 + 65535});
}

TEST_CASE("forks, limits and databases are kept apart", "[postgres][summary]")
{
    const auto blocks = read(summary({{.relation = 100, .limit = 7},
                                      {.relation = 100, .fork = 2, .limit = 1, .chunks = {{0}}},
                                      {.database = 6, .relation = 100, .chunks = {{3}}},
                                      {.tablespace = 16400, .relation = 100, .fork = 3}}));

    CHECK(*blocks.find(1663, 5, 100, Fork::main) == ForkChanges{.limit = 7, .blocks = {}});
    CHECK(*blocks.find(1663, 5, 100, Fork::visibility_map) ==
          ForkChanges{.limit = 1, .blocks = {0}});
    CHECK(*blocks.find(1663, 6, 100, Fork::main) ==
          ForkChanges{.limit = kNoLimitBlock, .blocks = {3}});
    CHECK(*blocks.find(16400, 5, 100, Fork::init) == ForkChanges{});
    CHECK(blocks.find(1663, 5, 100, Fork::init) == nullptr);
    CHECK(blocks.find(1663, 5, 101, Fork::main) == nullptr);
    CHECK(blocks.find(16400, 6, 100, Fork::main) == nullptr);
    CHECK_FALSE(blocks.is_whole_database(1663, 5));
}

TEST_CASE("relation 0 stands for the whole database", "[postgres][summary]")
{
    const auto blocks = read(summary(
        {{.database = 6, .relation = 0, .limit = 0}, {.database = 7, .relation = 1, .limit = 0}}));

    CHECK(blocks.is_whole_database(1663, 6));
    CHECK_FALSE(blocks.is_whole_database(1663, 5));
    CHECK_FALSE(blocks.is_whole_database(1663, 7));
    CHECK_FALSE(blocks.is_whole_database(1664, 6));
    CHECK_FALSE(blocks.is_whole_database(1662, 6));
    CHECK_FALSE(ChangedBlocks().is_whole_database(0, 0));
}

TEST_CASE("summaries merge to all their blocks and the smallest limit, in any order",
          "[postgres][summary]")
{
    const std::vector<WalSummaryBuilder> all = {
        summary({{.relation = 100, .limit = 50, .chunks = {{60, 10}}},
                 {.relation = 101, .chunks = {{1}, {1}}}}),
        summary({{.relation = 100, .limit = 20, .chunks = {bitmap({10, 11, 70})}}}),
        summary({{.relation = 0, .limit = 0}, {.relation = 101, .chunks = {{2, 1}}}}),
        summary({})};
    std::vector<std::size_t> order = {0, 1, 2, 3};
    do {
        ChangedBlocks one_by_one;
        ChangedBlocks at_once;
        for (const std::size_t i : order) {
            merge_wal_summary(all[i].sealed(), "a summary", one_by_one);
            ChangedBlocks grown = read(all[i]);
            grown.merge(std::move(at_once));
            at_once = std::move(grown);
        }

        // Blocks that one file drops at its limit stay listed by the others.
        CHECK(*one_by_one.find(1663, 5, 100, Fork::main) ==
              ForkChanges{.limit = 20, .blocks = {10, 11, 60, 70}});
        CHECK(*one_by_one.find(1663, 5, 101, Fork::main) ==
              ForkChanges{.limit = kNoLimitBlock, .blocks = {1, 2, 65537}});
        CHECK(one_by_one.is_whole_database(1663, 5));
        CHECK(at_once.forks() == one_by_one.forks());
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("a WAL summary cut at any place is refused", "[postgres][summary]")
{
    const auto whole = summary(kSample).sealed();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        check_refused({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, "");
    }
}

TEST_CASE("a WAL summary with any damaged bit is refused", "[postgres][summary][bug-58]")
{
    const auto whole = summary(kSample).sealed();
    for (std::size_t i = 0; i < whole.size(); ++i) {
        CAPTURE(i);
        auto damaged = whole;
        damaged[i] ^= std::byte{0x10};
        check_refused(damaged, i < 4 ? "not a WAL summary" : "checksum");
    }
}

TEST_CASE("a WAL summary that lies under a right checksum is refused",
          "[postgres][summary][bug-54]")
{
    const SummaryEntry entry{.relation = 100};
    const auto head = [&](std::uint32_t chunks) {
        return WalSummaryBuilder().add_head(entry, chunks);
    };
    struct Case {
        const char* reason;
        WalSummaryBuilder builder;
    };
    const auto one =
        GENERATE_COPY(Case{"no known fork", summary({{.relation = 100, .fork = 4}})},
                      Case{"no known fork", summary({{.relation = 100, .fork = 0xFFFFFFFF}})},
                      Case{"too large", summary({{.relation = 100, .chunks = {Words(4097)}}})},
                      Case{"too many chunks", head(65537).end()},
                      Case{"ends too early", head(65536).end()},
                      Case{"ends too early", head(1).put(std::uint16_t{4096}).end()},
                      Case{"ends too early", head(1).put(std::uint16_t{20})},
                      Case{"ends too early", WalSummaryBuilder().add(kSample[0])},
                      Case{"too short", WalSummaryBuilder()},
                      Case{"after the end", summary(kSample).put(std::uint16_t{0})},
                      Case{"after the end", summary(kSample).end()});
    CAPTURE(one.reason);

    check_refused(one.builder.sealed(), one.reason);
}

TEST_CASE("an entry with as many chunks as a fork can have is read", "[postgres][summary]")
{
    std::vector<Words> chunks(65536);
    chunks.back() = {65534};

    const auto blocks = read(summary({{.relation = 100, .chunks = chunks}}));

    CHECK(blocks.find(1663, 5, 100, Fork::main)->blocks == Blocks{0xFFFFFFFE});
}
