// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/non_copyable.hpp"

#include <atomic>
#include <mutex>

namespace pgstrata {

// An action that is done by whoever comes first, while the others wait. When it throws, the
// exception goes to who ran it and the next one tries again. This is what std::call_once promises,
// but its exceptions pass through the C library, which ends the program that has libgcc linked
// statically. Any thread.
class Once : NonCopyable {
public:
    template <typename Action>
    void run(const Action& action)
    {
        if (is_done_.load(std::memory_order_acquire)) {
            return;
        }
        const std::lock_guard lock(mutex_);
        if (!is_done_.load(std::memory_order_relaxed)) {
            action();
            is_done_.store(true, std::memory_order_release);
        }
    }

private:
    std::mutex mutex_;
    std::atomic<bool> is_done_ = false;
};

} // namespace pgstrata
