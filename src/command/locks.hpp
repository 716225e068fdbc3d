// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/engine/lock.hpp"

#include <memory>
#include <vector>

namespace pgstrata::command {

// The locks of the stanza on this host, after the wait that lock-wait allows. Never null.
std::unique_ptr<engine::LocalLock> take_locks(const config::Config& config,
                                              const std::vector<engine::LockType>& types,
                                              const std::vector<unsigned>& repos);

// The same for a command that a stop file keeps from running, also one that comes while it waits.
std::unique_ptr<engine::LocalLock>
take_locks_unless_stopped(const config::Config& config,
                          const std::vector<engine::LockType>& types,
                          const std::vector<unsigned>& repos);

} // namespace pgstrata::command
