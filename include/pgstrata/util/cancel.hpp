// SPDX-License-Identifier: PostgreSQL
#pragma once

namespace pgstrata {

// Installs handlers for SIGHUP, SIGINT and SIGTERM that only note the signal, and ignores SIGPIPE.
// Who started this process with SIGHUP (nohup) or SIGINT (a job in the background) ignored wants it
// to go on after them.
// The noted signal is the one global besides the log: a handler can reach nothing else.
void install_signal_handlers();
// The signal that asked this process to end, 0 for none. Tests may set it.
int pending_signal() noexcept;
void set_pending_signal(int number) noexcept;
// Throws Error(terminated) once a signal has arrived. Long loops call it between their steps.
void check_cancelled();
// Sleeps in short steps and throws as check_cancelled() does.
void sleep_cancellable(unsigned milliseconds);

// The pauses between two looks at what is waited for: each is a quarter longer than the one before,
// so that what comes soon is seen soon and what takes long costs little. Milliseconds.
class GrowingPause {
public:
    GrowingPause(unsigned first, unsigned longest) noexcept : next_(first), longest_(longest) {}
    // As sleep_cancellable().
    void sleep();

private:
    unsigned next_;
    unsigned longest_;
};

// "SIGTERM" for SIGTERM.
const char* signal_name(int number) noexcept;

} // namespace pgstrata
