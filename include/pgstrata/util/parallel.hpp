// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/non_copyable.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

namespace pgstrata {

// Runs `work(worker, token)` on `workers` threads (worker 0 on the calling one) and waits for all.
// The first failure asks the others to stop through the token and is rethrown after all ended.
void run_workers(std::size_t workers,
                 const std::function<void(std::size_t, std::stop_token)>& work);

// Calls `work(index)` for 0..count-1 on up to `workers` threads; failures as in run_workers.
void parallel_for_each(std::size_t workers,
                       std::size_t count,
                       const std::function<void(std::size_t)>& work);

// Cores of the machine this process may use, at least 1.
std::size_t available_cores();

} // namespace pgstrata
