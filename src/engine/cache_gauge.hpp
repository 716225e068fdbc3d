// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/non_copyable.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pgstrata::engine {

// Bytes of memory that nobody uses, not even as page cache. For the whole host, whatever limits the
// process has.
std::uint64_t free_memory() noexcept;

// Says whether to write through the page cache, from what that has cost so far. Where memory is at
// hand it costs a fifth of what the disk takes, and what was written is read from memory later: by
// the server that starts, or by a delta restore. Where each page must first be got from the host of
// a virtual machine, it costs more than all the rest of a restore. Any thread.
class CacheGauge : NonCopyable {
public:
    // `room`: how many bytes may go into the cache in all.
    explicit CacheGauge(std::uint64_t room) noexcept : room_(room) {}

    // Whether the next write goes through the cache; some do as a trial. Takes the room for it.
    bool admits(std::size_t bytes) noexcept;
    // What an admitted write cost, in nanoseconds of processor time.
    void note(std::size_t bytes, std::uint64_t nanoseconds) noexcept;

private:
    bool take_room(std::size_t bytes) noexcept;

    std::atomic<std::uint64_t> room_;
    std::atomic<unsigned> dear_in_a_row_ = 0;
    std::atomic<unsigned> passed_by_ = 0; // writes that were not admitted
};

} // namespace pgstrata::engine
