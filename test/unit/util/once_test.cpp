// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/once.hpp"
#include "pgstrata/util/parallel.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <stdexcept>

using pgstrata::Once;

TEST_CASE("of many that come at once one does it and all see it done", "[once]")
{
    constexpr std::size_t kThreads = 8;
    for (unsigned round = 0; round < 100; ++round) {
        Once once;
        std::atomic<unsigned> begun = 0;
        unsigned done = 0;
        std::atomic<unsigned> seen = 0;
        pgstrata::run_workers(kThreads, [&](std::size_t, const std::stop_token&) {
            once.run([&] {
                ++begun;
                ++done;
            });
            seen += done;
        });
        REQUIRE(begun == 1);
        REQUIRE(seen == kThreads);
    }
}

TEST_CASE("what failed is done by the next one", "[once]")
{
    Once once;
    CHECK_THROWS_AS(once.run([] { throw std::runtime_error("not yet"); }), std::runtime_error);
    unsigned done = 0;
    once.run([&] { ++done; });
    once.run([&] { ++done; });
    CHECK(done == 1);
}
