// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/progress.hpp"

namespace pgstrata::engine {

void Progress::add(std::uint64_t bytes)
{
    const std::uint64_t done = done_ += bytes;
    // Whoever does not get the lock need not wait: the next one reports.
    const std::unique_lock lock(report_mutex_, std::try_to_lock);
    if (report_ && lock.owns_lock() && (done - reported_) * 1000 >= total_ && done > reported_) {
        reported_ = done;
        report_(total_, done);
    }
}

double Progress::percent() const noexcept
{
    return total_ == 0 ? 100.0 : 100.0 * static_cast<double>(done_) / static_cast<double>(total_);
}

} // namespace pgstrata::engine
