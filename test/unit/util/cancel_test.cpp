// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/time.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

using namespace pgstrata;
using pgstrata::test::HasCode;

namespace {

struct ResetSignal {
    ResetSignal() { set_pending_signal(0); }
    ResetSignal(const ResetSignal&) = delete;
    ResetSignal& operator=(const ResetSignal&) = delete;
    ~ResetSignal() { set_pending_signal(0); }
};

} // namespace

TEST_CASE("nothing is cancelled before a signal has come", "[util][cancel]")
{
    const ResetSignal reset;
    CHECK(pending_signal() == 0);
    CHECK_NOTHROW(check_cancelled());
    CHECK_NOTHROW(sleep_cancellable(1));
}

TEST_CASE("a noted signal ends the work and is named", "[util][cancel]")
{
    const ResetSignal reset;
    const auto [number, name] = GENERATE(
        table<int, std::string>({{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGHUP, "SIGHUP"}}));
    set_pending_signal(number);

    CHECK_THROWS_MATCHES(check_cancelled(), Error, HasCode(ErrorCode::terminated));
    CHECK_THROWS_WITH(check_cancelled(), "terminated on signal " + name);
    CHECK(pending_signal() == number);
}

TEST_CASE("a sleep ends soon after a signal", "[util][cancel][bug-57]")
{
    const ResetSignal reset;
    std::thread sender([] {
        sleep_milliseconds(30);
        set_pending_signal(SIGTERM);
    });
    const std::uint64_t begin = monotonic_milliseconds();
    CHECK_THROWS_MATCHES(sleep_cancellable(60000), Error, HasCode(ErrorCode::terminated));
    sender.join();
    CHECK(monotonic_milliseconds() - begin < 10000);
}

TEST_CASE("a pause grows by a quarter until it is the longest", "[util][cancel]")
{
    const ResetSignal reset;
    GrowingPause pause(8, 14);
    for (const std::uint64_t length : {8U, 11U, 14U, 14U}) {
        const std::uint64_t begin = monotonic_milliseconds();
        pause.sleep();
        const std::uint64_t took = monotonic_milliseconds() - begin;
        CHECK(took + 1 >= length);
        CHECK(took < length + 1000);
    }
    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(pause.sleep(), Error, HasCode(ErrorCode::terminated));
}

TEST_CASE("installed handlers note the signal and the process goes on", "[util][cancel][bug-57]")
{
    const int number = GENERATE(SIGTERM, SIGINT, SIGHUP);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        install_signal_handlers();
        ::raise(SIGPIPE); // ignored
        ::raise(SIGXFSZ); // ignored
        ::raise(number);
        ::_exit(pending_signal() == number ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a hangup or interrupt that was ignored at the start stays so", "[util][cancel]")
{
    const int number = GENERATE(SIGINT, SIGHUP, SIGTERM);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::signal(number, SIG_IGN);
        install_signal_handlers();
        ::raise(number);
        ::_exit(pending_signal());
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == (number == SIGTERM ? SIGTERM : 0));
}
