// SPDX-License-Identifier: PostgreSQL
#include "storage/read_ahead.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::storage;

namespace {

constexpr std::size_t kStep = 1U << 20U; // the first block
constexpr std::uint64_t kReadOver = 1000;

// One who reads an object; gives how much was fetched for a read, 0 when it was there.
class Reading {
public:
    explicit Reading(std::size_t longest) : ahead_(longest, kReadOver) {}

    std::size_t read(std::uint64_t at, std::size_t size)
    {
        Buffer out(size);
        std::size_t fetched = 0;
        if (ahead_.copy(at, out.span()) != size) {
            const auto block_size = ahead_.block_size(at, size);
            fetched = block_size.value_or(size);
            if (block_size) {
                auto block = std::make_shared<FetchedBlock>();
                block->offset = at;
                block->bytes.resize(*block_size);
                ahead_.keep(std::move(block));
            }
        }
        ahead_.note(at, at + size);
        return fetched;
    }

private:
    ReadAhead ahead_;
};

} // namespace

TEST_CASE("whoever reads from front to back gets ever longer blocks", "[read_ahead]")
{
    Reading reading(3 * kStep);
    std::vector<std::size_t> fetched;
    for (std::uint64_t at = 0; at < 10 * kStep; at += kStep / 8) {
        if (const std::size_t size = reading.read(at, kStep / 8); size != 0) {
            fetched.push_back(size / kStep);
        }
    }
    CHECK(fetched == std::vector<std::size_t>{1, 2, 3, 3, 3});
}

TEST_CASE("readers who take turns are told from each other", "[read_ahead]")
{
    Reading reading(8 * kStep);
    const std::uint64_t other = 100 * kStep;
    CHECK(reading.read(0, 1000) == kStep);
    CHECK(reading.read(other, 1000) == kStep);
    CHECK(reading.read(1000, kStep - 1000) == 0);
    CHECK(reading.read(other + 1000, kStep - 1000) == 0);
    CHECK(reading.read(kStep, 10) == 2 * kStep);
    CHECK(reading.read(other + kStep, 10) == 2 * kStep);
    // Back to what is still there.
    CHECK(reading.read(kStep + 5, 1000) == 0);
}

TEST_CASE("a reader may leave out a little, and begins anew after more", "[read_ahead]")
{
    Reading reading(8 * kStep);
    CHECK(reading.read(0, kStep) == kStep);
    SECTION("a little")
    {
        CHECK(reading.read(kStep + kReadOver, 10) == 2 * kStep);
    }
    SECTION("more")
    {
        CHECK(reading.read(kStep + kReadOver + 1, 10) == kStep);
    }
}

TEST_CASE("no more is kept than one block may be long", "[read_ahead]")
{
    Reading reading(2 * kStep);
    const std::uint64_t far = 100 * kStep;
    CHECK(reading.read(0, 10) == kStep);
    CHECK(reading.read(far, 10) == kStep);
    CHECK(reading.read(0, 10) == 0);
    CHECK(reading.read(2 * far, 10) == kStep);
    CHECK(reading.read(0, 10) == 0); // it has read since
    CHECK(reading.read(far, 10) == kStep);
}

TEST_CASE("a long read is not made longer, nor is any where nothing is to be read ahead",
          "[read_ahead]")
{
    CHECK(Reading(kStep).read(0, 2 * kStep) == 2 * kStep);
    CHECK(Reading(0).read(0, 10) == 10);
}
