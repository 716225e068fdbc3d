// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/lock.hpp"
#include "pgstrata/engine/spool.hpp"
#include "pgstrata/util/cancel.hpp"

#include <cstdint>
#include <string>
#include <vector>

// What archive-push and archive-get share where a process in the background works for them.
namespace pgstrata::command {

// Starts this program once more, in a session of its own, with "COMMAND:async" and `parameters`:
// it goes on when we end. Its configuration is ours, since it gets our environment and the options
// of our command line. Throws Error(execute) when it cannot be started.
void start_background(const config::Config& config,
                      const std::vector<std::string>& parameters = {});

// The lock of the processes in the background: one a stanza and host, pushing or getting.
engine::LockRequest archive_lock(const config::Config& config);
// The process that has the stanza's archive lock on this host; 0 when none has, -1 when it is not
// known which.
std::int64_t background_process(const config::Config& config);

// Between two looks at what the process in the background has left.
GrowingPause background_pause() noexcept;

// Leaves word of what stopped a process in the background; when even that fails there is a WARN.
void leave_error(const engine::Spool& spool, const Error& error);
// Where the log of the process in the background is, for messages.
std::string background_log(const config::Config& config);

// Stands for the repositories `indexes`: another one, or one somewhere else, gives other digits. 32
// hex digits.
std::string place_of(const config::Config& config, const std::vector<unsigned>& indexes);

} // namespace pgstrata::command
