// SPDX-License-Identifier: PostgreSQL
#include "storage/retry.hpp"

#include "pgstrata/util/cancel.hpp"

#include <algorithm>
#include <random>

namespace pgstrata::storage {

namespace {

double random_part()
{
    thread_local std::minstd_rand generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

} // namespace

void Pace::wait_for_turn() const
{
    for (;;) {
        const std::uint64_t now = monotonic_milliseconds();
        const std::uint64_t turn = not_before_.load();
        if (turn <= now) {
            return;
        }
        sleep_cancellable(static_cast<unsigned>(turn - now));
    }
}

void Pace::hold(std::uint64_t milliseconds)
{
    const std::uint64_t wanted = monotonic_milliseconds() + milliseconds;
    std::uint64_t held = not_before_.load();
    while (held < wanted && !not_before_.compare_exchange_weak(held, wanted)) {
    }
}

std::uint64_t pause_before_next(const RetryOptions& options, unsigned number, double random)
{
    constexpr unsigned kMostDoublings = 20;
    const std::uint64_t pause =
        std::min(options.first_wait_milliseconds << std::min(number - 1, kMostDoublings),
                 options.longest_wait_milliseconds);
    const std::uint64_t least = pause / 2;
    return least + static_cast<std::uint64_t>(random * static_cast<double>(pause - least));
}

bool Tries::wait_for_next(Cause cause, std::optional<std::uint64_t> after)
{
    const RetryOptions& options = pace_.options();
    const std::uint64_t pause =
        std::max(after.value_or(0), pause_before_next(options, count_, random_part()));
    const std::uint64_t passed = monotonic_milliseconds() - began_;
    const bool is_late = passed + pause > options.limit_milliseconds;
    if (after.value_or(0) > options.limit_milliseconds ||
        (is_late && count_ >= options.least_tries)) {
        return false;
    }
    ++count_;
    if (cause == Cause::throttle) {
        pace_.hold(pause);
    } else {
        sleep_cancellable(static_cast<unsigned>(pause));
    }
    pace_.wait_for_turn();
    return true;
}

} // namespace pgstrata::storage
