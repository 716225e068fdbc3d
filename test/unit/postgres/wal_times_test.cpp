// SPDX-License-Identifier: PostgreSQL
#include "unit/postgres/wal_builder.hpp"

#include "pgstrata/postgres/wal_record.hpp"
#include "pgstrata/postgres/wal_times.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgstrata;
using namespace pgstrata::postgres;
using namespace pgstrata::test;

namespace {

constexpr std::int64_t kEpoch = 946'684'800'000'000;
constexpr std::uint8_t kTransaction = 1;
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kPrepare = 0x10;

// Main data of a commit with so many bytes of subtransactions and invalidations after its time.
std::vector<std::byte> commit_at(std::int64_t time, std::size_t more = 0)
{
    std::vector<std::byte> data(8 + more);
    store(data.data(), time);
    return data;
}

std::optional<WalTimes> scan(ByteView bytes, std::size_t piece)
{
    WalTimeScan scan;
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size()))) {
        scan.feed(bytes.first(std::min(piece, bytes.size())));
    }
    return scan.times();
}

// The same told by the reader that checks everything.
std::optional<WalTimes> read(const std::vector<std::byte>& segment)
{
    std::optional<WalTimes> times;
    WalReader reader(15, WalBuilder::kSegmentSize);
    reader.feed({1, WalBuilder::kFirstSegment}, segment, [&](const WalRecord& record) {
        if (const auto time = transaction_end_time(record)) {
            times = times ? WalTimes{std::min(times->first, *time), std::max(times->last, *time)}
                          : WalTimes{*time, *time};
        }
    });
    return times;
}

} // namespace

TEST_CASE("the times are those of commits and aborts and of nothing else", "[wal]")
{
    WalBuilder wal;
    wal.append_text("something else");
    wal.append(kTransaction, kCommit, commit_at(2000));
    wal.append(kTransaction, kAbort, commit_at(1000));
    wal.append(kTransaction, kPrepare, commit_at(9000));
    wal.append(kTransaction, kCommit, commit_at(3000, 500));
    wal.append(10, kCommit, commit_at(8000));

    CHECK(scan(wal.segment(0), WalBuilder::kSegmentSize) == WalTimes{kEpoch + 1000, kEpoch + 3000});
}

TEST_CASE("a segment in which nothing ended has no times", "[wal]")
{
    WalBuilder wal;
    wal.append_text("something else");
    CHECK_FALSE(scan(wal.segment(0), 8192));
    CHECK_FALSE(scan({}, 8192));
    CHECK_FALSE(scan(std::vector<std::byte>(WalBuilder::kSegmentSize), 8192));
}

TEST_CASE("what lies behind the end of WAL in a recycled segment does not count", "[wal]")
{
    WalBuilder old;
    while (old.segments() < 2) {
        old.append(kTransaction, kCommit, commit_at(9'000'000));
    }
    WalBuilder wal;
    wal.append(kTransaction, kCommit, commit_at(5));
    wal.append_switch();
    auto segment = wal.segment(0);
    // The second half is of an earlier round of the file: its pages name other places.
    auto stale = old.segment(0);
    const auto half = static_cast<std::ptrdiff_t>(segment.size() / 2);
    for (std::size_t page = segment.size() / 2; page < segment.size(); page += 8192) {
        store(stale.data() + page + 8, std::uint64_t{page});
    }
    std::copy(stale.begin() + half, stale.end(), segment.begin() + half);

    CHECK(scan(segment, 1U << 16U) == WalTimes{kEpoch + 5, kEpoch + 5});
}

TEST_CASE("the scan finds the times that the reader finds, wherever records cross pages", "[wal]")
{
    for (unsigned seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        WalBuilder wal;
        while (wal.segments() < 2) {
            const std::size_t size = random() % 3 == 0 ? random() % 30000 : random() % 200;
            switch (random() % 4) {
            case 0:
                wal.append(kTransaction,
                           random() % 2 == 0 ? kCommit : kAbort,
                           commit_at(static_cast<std::int64_t>(random() % 1'000'000), size));
                break;
            case 1: {
                // An origin and a top transaction stand before the main data.
                std::vector<std::byte> body{std::byte{253}, {}, {}, std::byte{252}, {}, {}, {}, {}};
                const auto data = commit_at(static_cast<std::int64_t>(random() % 1'000'000), 16);
                body.push_back(std::byte{255});
                body.push_back(static_cast<std::byte>(data.size()));
                body.insert(body.end(), data.begin(), data.end());
                wal.append_body(kTransaction, kCommit, body);
                break;
            }
            default:
                wal.append(10, 0, std::vector<std::byte>(size));
            }
        }
        const auto segment = wal.segment(0);
        const auto expected = read(segment);
        REQUIRE(expected);
        CHECK(scan(segment, 8192) == expected);
        CHECK(scan(segment, segment.size()) == expected);
    }
}
