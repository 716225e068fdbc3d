// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/progress.hpp"

namespace pgstrata::engine {

void Progress::add(std::uint64_t bytes)
{
    const std::uint64_t done = done_ += bytes;
    const bool is_end = done >= total_;
    // Whoever does not get the lock need not wait: the next one reports. After the last there is
    // none.
    std::unique_lock lock(report_mutex_, std::defer_lock);
    if (is_end) {
        lock.lock();
    } else if (!lock.try_lock()) {
        return;
    }
    if (report_ && done > reported_ && (is_end || (done - reported_) * 1000 >= total_)) {
        reported_ = done;
        report_(total_, done);
    }
}

double Progress::percent() const noexcept
{
    return total_ == 0 ? 100.0 : 100.0 * static_cast<double>(done_) / static_cast<double>(total_);
}

} // namespace pgstrata::engine
