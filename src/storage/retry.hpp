// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/s3.hpp"

#include <atomic>
#include <optional>

namespace pgstrata::storage {

// The pace at which one store is asked, shared by all that ask it. May be used from any thread.
class Pace : NonCopyable {
public:
    explicit Pace(RetryOptions options) : options_(options) {}

    // Returns when the store is willing to be asked again. Throws Error(terminated).
    void wait_for_turn() const;
    // Nobody is to ask before that many milliseconds have passed.
    void hold(std::uint64_t milliseconds);
    const RetryOptions& options() const noexcept { return options_; }

private:
    RetryOptions options_;
    std::atomic<std::uint64_t> not_before_ = 0; // monotonic milliseconds
};

// The tries of one request.
class Tries {
public:
    explicit Tries(Pace& pace) : pace_(pace), began_(monotonic_milliseconds()) {}

    enum class Cause : std::uint8_t {
        failure, // of this request
        throttle // the store wants less of everybody
    };
    // After a failed try: false when it was the last, else true when the time for the next has
    // come. A store that says when (`after`, in milliseconds) is obeyed, or given up when that is
    // too long. Throws Error(terminated).
    bool wait_for_next(Cause cause, std::optional<std::uint64_t> after);
    unsigned count() const noexcept { return count_; }

private:
    Pace& pace_;
    std::uint64_t began_;
    unsigned count_ = 1;
};

// The pause before try `number` + 1, between half and all of the exponential one; `random` 0..1.
std::uint64_t pause_before_next(const RetryOptions& options, unsigned number, double random);

} // namespace pgstrata::storage
