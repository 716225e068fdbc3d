// SPDX-License-Identifier: PostgreSQL
#include "engine/cache_gauge.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgstrata::engine;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;
constexpr std::uint64_t kCheap = 200'000; // nanoseconds a MiB
constexpr std::uint64_t kDear = 2'000'000;

// Which of so many writes of a MiB are admitted ("+"), when each costs so much.
std::string admitted(CacheGauge& gauge, std::size_t writes, std::uint64_t cost)
{
    std::string text;
    for (std::size_t i = 0; i < writes; ++i) {
        const bool is_admitted = gauge.admits(kMiB);
        text += is_admitted ? '+' : '-';
        if (is_admitted) {
            gauge.note(kMiB, cost);
        }
    }
    return text;
}

} // namespace

TEST_CASE("writes go through the page cache as long as that is cheap", "[restore]")
{
    CacheGauge gauge(1000 * kMiB);
    CHECK(admitted(gauge, 100, kCheap) == std::string(100, '+'));
}

TEST_CASE("one write that was dear by chance changes nothing", "[restore]")
{
    CacheGauge gauge(1000 * kMiB);
    for (int i = 0; i < 10; ++i) {
        CHECK(admitted(gauge, 1, kDear) == "+");
        CHECK(admitted(gauge, 3, kCheap) == "+++");
    }
}

TEST_CASE("where writes are dear only a few are tried", "[restore]")
{
    CacheGauge gauge(1000 * kMiB);
    const std::string passed(63, '-');
    CHECK(admitted(gauge, 2 + 128, kDear) == "++" + passed + "+" + passed + "+");
    SECTION("until one is cheap")
    {
        CHECK(admitted(gauge, 63 + 20, kCheap) == passed + std::string(20, '+'));
    }
}

TEST_CASE("what counts is the cost of a byte", "[restore]")
{
    CacheGauge gauge(1000 * kMiB);
    for (int i = 0; i < 5; ++i) {
        CHECK(gauge.admits(10 * kMiB));
        gauge.note(10 * kMiB, 10 * kCheap);
    }
    for (int i = 0; i < 2; ++i) {
        CHECK(gauge.admits(8192));
        gauge.note(8192, kDear / 128);
    }
    CHECK_FALSE(gauge.admits(8192));
}

TEST_CASE("the page cache gets no more than the room that was given", "[restore]")
{
    CacheGauge gauge(3 * kMiB + 8192);
    CHECK(admitted(gauge, 5, kCheap) == "+++--");
    CHECK(gauge.admits(8192));
    CHECK_FALSE(gauge.admits(1));
}

TEST_CASE("free memory is counted", "[restore]")
{
    CHECK(free_memory() > kMiB);
    CHECK(free_memory() < (std::uint64_t{1} << 50U));
}
