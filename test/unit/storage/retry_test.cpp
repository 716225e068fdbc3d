// SPDX-License-Identifier: PostgreSQL
#include "storage/retry.hpp"
#include "support/matchers.hpp"

#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::storage;
using test::HasCode;

TEST_CASE("the pauses between tries double up to a limit and are spread", "[s3][retry]")
{
    const RetryOptions options{.first_wait_milliseconds = 100, .longest_wait_milliseconds = 1000};

    CHECK(pause_before_next(options, 1, 0.0) == 50);
    CHECK(pause_before_next(options, 1, 1.0) == 100);
    CHECK(pause_before_next(options, 2, 1.0) == 200);
    CHECK(pause_before_next(options, 4, 1.0) == 800);
    CHECK(pause_before_next(options, 5, 1.0) == 1000);
    CHECK(pause_before_next(options, 1000, 0.0) == 500);
}

TEST_CASE("tries end with the time, but not before the least number of them", "[s3][retry]")
{
    Pace pace({.limit_milliseconds = 0, .least_tries = 3, .first_wait_milliseconds = 1});
    Tries tries(pace);

    CHECK(tries.wait_for_next(Tries::Cause::failure, std::nullopt));
    CHECK(tries.wait_for_next(Tries::Cause::failure, std::nullopt));
    CHECK_FALSE(tries.wait_for_next(Tries::Cause::failure, std::nullopt));
    CHECK(tries.count() == 3);
}

TEST_CASE("a store that says when is obeyed", "[s3][retry]")
{
    Pace pace({.limit_milliseconds = 1000, .first_wait_milliseconds = 1});
    Tries tries(pace);
    const auto began = monotonic_milliseconds();

    CHECK(tries.wait_for_next(Tries::Cause::failure, 200));
    CHECK(monotonic_milliseconds() - began >= 200);
    CHECK_FALSE(tries.wait_for_next(Tries::Cause::failure, 2000));
    CHECK(monotonic_milliseconds() - began < 1000);
}

TEST_CASE("a throttled request holds all others back, a failed one does not", "[s3][retry]")
{
    const bool is_throttled = GENERATE(true, false);
    Pace pace({.limit_milliseconds = 10'000, .first_wait_milliseconds = 1});
    std::thread slowed([&] {
        Tries tries(pace);
        tries.wait_for_next(is_throttled ? Tries::Cause::throttle : Tries::Cause::failure, 400);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto began = monotonic_milliseconds();

    pace.wait_for_turn();

    CHECK((monotonic_milliseconds() - began >= 200) == is_throttled);
    slowed.join();
}

TEST_CASE("a wait for the store ends with the process", "[s3][retry][bug-57]")
{
    Pace pace({.limit_milliseconds = 100'000});
    Tries tries(pace);

    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(
        tries.wait_for_next(Tries::Cause::throttle, 60'000), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
}
