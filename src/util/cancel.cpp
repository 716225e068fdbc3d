// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/cancel.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>

namespace pgstrata {

namespace {

std::atomic<int> noted_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free, "the handler may only touch lock-free memory");

void note_signal(int number)
{
    noted_signal.store(number);
}

bool is_ignored(int number)
{
    struct sigaction action {};
    return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

} // namespace

void install_signal_handlers()
{
    struct sigaction action {};
    action.sa_handler = note_signal;
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
        if (number == SIGTERM || !is_ignored(number)) {
            ::sigaction(number, &action, nullptr);
        }
    }
    action.sa_handler = SIG_IGN;
    // What they tell of, a write says too, and then the message names the file.
    ::sigaction(SIGPIPE, &action, nullptr);
    ::sigaction(SIGXFSZ, &action, nullptr);
}

int pending_signal() noexcept
{
    return noted_signal.load();
}

void set_pending_signal(int number) noexcept
{
    noted_signal.store(number);
}

void check_cancelled()
{
    if (const int number = pending_signal(); number != 0) {
        raise(ErrorCode::terminated, "terminated on signal {}", signal_name(number));
    }
}

void sleep_cancellable(unsigned milliseconds)
{
    while (milliseconds > 0) {
        check_cancelled();
        const unsigned step = std::min(milliseconds, 50U);
        sleep_milliseconds(step);
        milliseconds -= step;
    }
    check_cancelled();
}

void GrowingPause::sleep()
{
    sleep_cancellable(next_);
    next_ = std::min(next_ + next_ / 4 + 1, longest_);
}

const char* signal_name(int number) noexcept
{
    switch (number) {
    case SIGHUP:
        return "SIGHUP";
    case SIGINT:
        return "SIGINT";
    case SIGTERM:
        return "SIGTERM";
    default:
        return "a signal";
    }
}

} // namespace pgstrata
