// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/non_copyable.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace pgstrata::engine {

// How much of a copy is done, shared by its workers. Any thread.
class Progress : NonCopyable {
public:
    // (bytes in all, bytes done); called when the share moved by a tenth of a percent and at the
    // end, one call at a time.
    using Report = std::function<void(std::uint64_t, std::uint64_t)>;

    Progress(std::uint64_t total, Report report) : total_(total), report_(std::move(report)) {}
    void add(std::uint64_t bytes);
    std::uint64_t total() const noexcept { return total_; }
    std::uint64_t done() const noexcept { return done_; }
    // 0 to 100.
    double percent() const noexcept;

private:
    std::uint64_t total_;
    Report report_;
    std::atomic<std::uint64_t> done_ = 0;
    std::mutex report_mutex_;
    std::uint64_t reported_ = 0;
};

} // namespace pgstrata::engine
