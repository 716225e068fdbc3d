// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/change_detection.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgstrata;
using namespace pgstrata::engine;
using repository::ContentKind;
using repository::ManifestFile;

namespace {

constexpr UnixNanoseconds kSecond = 1'000'000'000;
constexpr UnixNanoseconds kCopyTime = 1'800'000'000 * kSecond + 700'000'000;
constexpr UnixNanoseconds kLongAgo = kCopyTime - 3600 * kSecond + 1;
constexpr auto kMainFork = "base/5/16384";
constexpr std::uint64_t kPriorStartLsn = 0x1000;
constexpr std::uint64_t kStartLsn = 0x2000;

ManifestFile make_file(const std::string& path, ContentKind content, std::uint64_t size)
{
    ManifestFile file;
    file.path = path;
    file.content = content;
    file.size = size;
    file.mtime = kLongAgo;
    return file;
}

ManifestFile touched(ManifestFile file)
{
    file.mtime += 1;
    return file;
}

AuditRules audit_rules(bool hints_are_logged)
{
    return {{kStartLsn}, {kPriorStartLsn}, hints_are_logged, kCopyTime};
}

ChangeRules rules_with(const postgres::ChangedBlocks* changes = nullptr)
{
    ChangeRules rules;
    rules.prior_copy_time = kCopyTime;
    rules.changes = changes;
    return rules;
}

// Page by page, without any cleverness.
std::vector<PageRange> candidates_one_by_one(const Candidates& candidates, PageRange range)
{
    std::vector<PageRange> ranges;
    for (std::uint32_t page = range.begin; page < range.end; ++page) {
        bool is_one = page >= candidates.prior_pages;
        if (candidates.changes != nullptr) {
            const std::uint32_t block = candidates.first_block + page;
            const auto& blocks = candidates.changes->blocks;
            is_one = is_one || block >= candidates.changes->limit ||
                     std::find(blocks.begin(), blocks.end(), block) != blocks.end();
        }
        if (!is_one) {
            continue;
        }
        if (!ranges.empty() && ranges.back().end == page) {
            ++ranges.back().end;
        } else {
            ranges.push_back({page, page + 1});
        }
    }
    return ranges;
}

} // namespace

TEST_CASE("a file that is as it was is not read", "[engine][changes]")
{
    const auto content = GENERATE(ContentKind::whole, ContentKind::paged);
    const ManifestFile file = make_file(kMainFork, content, 8192);
    CHECK(decide_work(file, &file, rules_with()) == FileWork::refer);
    ChangeRules distrustful = rules_with();
    distrustful.trust_times = false;
    CHECK(decide_work(file, &file, distrustful) == FileWork::compare);
}

TEST_CASE("a time close to the prior copy proves nothing", "[engine][changes][bug-9]")
{
    const auto [before_copy, work] = GENERATE(table<UnixNanoseconds, FileWork>({
        {-kSecond, FileWork::compare},
        {0, FileWork::compare},
        {1, FileWork::compare},
        {kSecond / 50, FileWork::compare},
        {kSecond + 1, FileWork::refer},
        {3600 * kSecond + 1, FileWork::refer},
        // Whole seconds may be all that the filesystem keeps, or every other.
        {700'000'000, FileWork::compare},
        {kSecond + 700'000'000, FileWork::compare},
        {3 * kSecond + 700'000'000, FileWork::refer},
    }));
    ManifestFile file = make_file(kMainFork, ContentKind::paged, 8192);
    file.mtime = kCopyTime - before_copy;
    CAPTURE(before_copy);
    CHECK(decide_work(file, &file, rules_with()) == work);
}

TEST_CASE("a file that is new or of another kind is copied", "[engine][changes][bug-10]")
{
    const auto [now, prior, work] = GENERATE(table<ContentKind, ContentKind, FileWork>({
        {ContentKind::empty, ContentKind::empty, FileWork::refer},
        {ContentKind::empty, ContentKind::whole, FileWork::refer},
        {ContentKind::empty, ContentKind::paged, FileWork::refer},
        {ContentKind::whole, ContentKind::empty, FileWork::copy},
        {ContentKind::whole, ContentKind::paged, FileWork::copy},
        {ContentKind::paged, ContentKind::empty, FileWork::copy},
        {ContentKind::paged, ContentKind::whole, FileWork::copy},
    }));
    // Times and sizes agree, which must not matter.
    const ManifestFile file = make_file(kMainFork, now, 8192);
    const ManifestFile before = make_file(kMainFork, prior, 8192);
    const postgres::ChangedBlocks nothing;
    CHECK(decide_work(file, &before, rules_with()) == work);
    CHECK(decide_work(file, &before, rules_with(&nothing)) == work);
    CHECK(decide_work(file, nullptr, rules_with(&nothing)) ==
          (now == ContentKind::empty ? FileWork::refer : FileWork::copy));
}

TEST_CASE("a file that was touched is compared", "[engine][changes]")
{
    const ManifestFile whole = make_file("pg_xact/0000", ContentKind::whole, 8192);
    CHECK(decide_work(touched(whole), &whole, rules_with()) == FileWork::compare);
    ManifestFile older = whole;
    older.mtime -= 1;
    CHECK(decide_work(older, &whole, rules_with()) == FileWork::compare);
    ManifestFile longer = whole;
    longer.size += 1;
    // Another size: nothing to compare with, whatever the time says.
    CHECK(decide_work(longer, &whole, rules_with()) == FileWork::copy);

    const ManifestFile paged = make_file(kMainFork, ContentKind::paged, 8192);
    CHECK(decide_work(touched(paged), &paged, rules_with()) == FileWork::compare);
    longer = paged;
    longer.size += 8192;
    CHECK(decide_work(longer, &paged, rules_with()) == FileWork::compare);
}

TEST_CASE("WAL is asked about main and init forks only", "[engine][changes][bug-11]")
{
    const auto [path, work] = GENERATE(table<std::string, FileWork>({
        {"base/5/16384", FileWork::candidates},
        {"base/5/16384.3", FileWork::candidates},
        {"base/5/16384_init", FileWork::candidates},
        {"global/1262", FileWork::candidates},
        {"pg_tblspc/16400/PG_17_202406281/5/16385", FileWork::candidates},
        {"base/5/16384_fsm", FileWork::compare},
        {"base/5/16384_vm", FileWork::compare},
        {"base/5/16384_vm.1", FileWork::compare},
        // The whole database was made or copied.
        {"base/6/16384", FileWork::compare},
        {"pg_tblspc/16400/PG_17_202406281/6/16385", FileWork::candidates},
    }));
    postgres::ChangedBlocks changes;
    changes.merge({1663, 6, 0, postgres::Fork::main}, {0, {}});
    const ManifestFile prior = make_file(path, ContentKind::paged, 8192);
    CAPTURE(path);
    CHECK(decide_work(touched(prior), &prior, rules_with(&changes)) == work);
}

TEST_CASE("all pages of a file that was damaged are looked at", "[engine][changes][bug-12]")
{
    const postgres::ChangedBlocks nothing;
    ManifestFile prior = make_file(kMainFork, ContentKind::paged, 8192);
    prior.is_damaged = true;
    prior.bad_pages = {0};
    CHECK(decide_work(touched(prior), &prior, rules_with(&nothing)) == FileWork::compare);
}

TEST_CASE("times count only on the same timeline, of the same kind, with a clock that goes on",
          "[engine][changes][bug-9]")
{
    repository::ManifestHeader prior;
    prior.timeline = 3;
    prior.copy_time = kCopyTime;
    repository::ManifestHeader now = prior;
    CHECK(why_times_do_not_count(prior, now, kCopyTime).empty());
    CHECK(why_times_do_not_count(prior, now, kCopyTime + kSecond).empty());
    CHECK_THAT(why_times_do_not_count(prior, now, kCopyTime - 1), Catch::Contains("clock"));
    SECTION("another timeline")
    {
        now.timeline = 4;
    }
    SECTION("a stopped server")
    {
        now.is_online = false;
    }
    SECTION("data checksums were switched on")
    {
        now.data_checksum_version = 1;
    }
    CHECK(why_times_do_not_count(prior, now, kCopyTime).empty() ==
          (now.timeline == 3 && now.is_online && now.data_checksum_version == 0));
}

TEST_CASE("candidates are what WAL names, what is not below the limit, and what is new",
          "[engine][changes][bug-11]")
{
    const postgres::ForkChanges named{postgres::kNoLimitBlock, {3, 4, 6, 140, 141}};
    const postgres::ForkChanges cut{5, {1, 7}};
    const postgres::ForkChanges made_anew{0, {}};
    using Ranges = std::vector<PageRange>;
    CHECK(candidate_pages({nullptr, 0, 10}, {0, 10}) == Ranges{});
    CHECK(candidate_pages({nullptr, 0, 8}, {0, 10}) == Ranges{{8, 10}});
    CHECK(candidate_pages({nullptr, 0, 8}, {9, 12}) == Ranges{{9, 12}});
    CHECK(candidate_pages({nullptr, 0, 0}, {0, 10}) == Ranges{{0, 10}});
    CHECK(candidate_pages({&named, 0, 10}, {0, 10}) == Ranges{{3, 5}, {6, 7}});
    CHECK(candidate_pages({&named, 0, 10}, {4, 6}) == Ranges{{4, 5}});
    // The second file of a fork whose files have 100 blocks.
    CHECK(candidate_pages({&named, 100, 100}, {0, 100}) == Ranges{{40, 42}});
    CHECK(candidate_pages({&named, 100, 41}, {0, 100}) == Ranges{{40, 100}});
    CHECK(candidate_pages({&cut, 0, 10}, {0, 10}) == Ranges{{1, 2}, {5, 10}});
    CHECK(candidate_pages({&cut, 100, 10}, {0, 10}) == Ranges{{0, 10}});
    CHECK(candidate_pages({&made_anew, 0, 10}, {0, 10}) == Ranges{{0, 10}});
    CHECK(candidate_pages({&named, 0, 10}, {7, 7}) == Ranges{});
}

TEST_CASE("candidates are those of a look at each page", "[engine][changes][bug-11]")
{
    std::mt19937 random(20261121);
    const auto below = [&](std::uint32_t limit) {
        return static_cast<std::uint32_t>(random()) % limit;
    };
    for (int round = 0; round < 3000; ++round) {
        postgres::ForkChanges changes;
        for (std::uint32_t block = below(5); block < 200; block += 1 + below(20)) {
            changes.blocks.push_back(block);
        }
        if (below(2) == 0) {
            changes.limit = below(220);
        }
        const std::uint32_t begin = below(60);
        const PageRange range{begin, begin + below(70)};
        const Candidates candidates{below(8) == 0 ? nullptr : &changes, 64 * below(3), below(140)};
        CAPTURE(round);
        REQUIRE(candidate_pages(candidates, range) == candidates_one_by_one(candidates, range));
    }
}

TEST_CASE("the last file of the largest relation has blocks that are counted right",
          "[engine][changes][bug-13]")
{
    const std::uint32_t first = 32767U * 131072;
    const postgres::ForkChanges changes{postgres::kNoLimitBlock,
                                        {first - 1, first, first + 131070}};
    const auto ranges = candidate_pages({&changes, first, 131071}, {0, 131071});
    CHECK(ranges == std::vector<PageRange>{{0, 1}, {131070, 131071}});
}

TEST_CASE("a page that WAL does not name may differ only where replay or nobody cares",
          "[engine][changes][bug-11]")
{
    const auto [lsn, is_new, is_spgist, are_logged, may] =
        GENERATE(table<std::uint64_t, bool, bool, bool, bool>({
            // Changed after the start: replay brings it, whatever it is.
            {kStartLsn, false, false, true, true},
            {kStartLsn + 1, true, false, true, true},
            // Changed between the two starts: WAL should have named it.
            {kStartLsn - 1, false, false, false, false},
            {kPriorStartLsn + 1, false, false, false, false},
            {kPriorStartLsn + 1, false, true, false, false},
            // Older pages: hint bits, where they are not logged.
            {kPriorStartLsn, false, false, false, true},
            {1, false, false, false, true},
            {kPriorStartLsn, false, false, true, false},
            {0, false, false, true, false},
            // A new page has no hint bits.
            {0, true, false, false, false},
            {0, true, false, true, false},
            // The cache of an SP-GiST index is never logged.
            {kPriorStartLsn, false, true, true, true},
        }));
    AuditedPage page;
    page.lsn.value = lsn;
    page.is_new = is_new;
    page.is_spgist = is_spgist;
    const AuditRules rules = audit_rules(are_logged);
    page.file_mtime = kLongAgo;
    CAPTURE(lsn, is_new, is_spgist, are_logged);
    CHECK(may_differ(page, rules) == may);
}

TEST_CASE("a page of zeros may differ only in a file that was written to since the backup began",
          "[engine][changes]")
{
    const auto [lsn, is_new, mtime, may] =
        GENERATE(table<std::uint64_t, bool, UnixNanoseconds, bool>({
            {0, true, kCopyTime + 1, true},
            {0, true, kLongAgo, false},
            // A tick of the clock that files get their times from.
            {0, true, kCopyTime - kSecond / 1000, true},
            {0, false, kCopyTime + 1, false},
            {kPriorStartLsn + 1, true, kCopyTime + 1, false},
        }));
    AuditedPage page;
    page.lsn.value = lsn;
    page.is_new = is_new;
    page.file_mtime = mtime;
    const AuditRules rules = audit_rules(true);
    CAPTURE(lsn, is_new, mtime);
    CHECK(may_differ(page, rules) == may);
}

TEST_CASE("a page tells its position, whether it is new and whether it is SP-GiST's",
          "[engine][changes]")
{
    Buffer page(8192);
    std::memset(page.data(), 0, page.size());
    CHECK(describe_page(page, kLongAgo).is_new);
    CHECK(describe_page(page, kLongAgo).lsn.value == 0);
    store<std::uint32_t>(page.data(), 2);
    store<std::uint32_t>(page.data() + 4, 3);
    store<std::uint16_t>(page.data() + 14, 8000);
    CHECK_FALSE(describe_page(page, kLongAgo).is_new);
    CHECK(describe_page(page, kLongAgo).lsn.value == 0x200000003);
    CHECK_FALSE(describe_page(page, kLongAgo).is_spgist);
    store<std::uint16_t>(page.data() + 8190, 0xFF82);
    CHECK(describe_page(page, kLongAgo).is_spgist);
}
