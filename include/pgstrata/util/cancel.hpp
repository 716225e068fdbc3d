// SPDX-License-Identifier: PostgreSQL
#pragma once

namespace pgstrata {

// Installs handlers for SIGHUP, SIGINT and SIGTERM that only note the signal, and ignores SIGPIPE.
// The noted signal is the one global besides the log: a handler can reach nothing else.
void install_signal_handlers();
// The signal that asked this process to end, 0 for none. Tests may set it.
int pending_signal() noexcept;
void set_pending_signal(int number) noexcept;
// Throws Error(terminated) once a signal has arrived. Long loops call it between their steps.
void check_cancelled();
// Sleeps in short steps and throws as check_cancelled() does.
void sleep_cancellable(unsigned milliseconds);
// "SIGTERM" for SIGTERM.
const char* signal_name(int number) noexcept;

} // namespace pgstrata
