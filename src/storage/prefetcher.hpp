// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

namespace pgstrata::storage {

// Bytes of an object from `offset` on.
struct FetchedBlock {
    std::uint64_t offset = 0;
    Buffer bytes;

    std::uint64_t end() const { return offset + bytes.size(); }
    bool has(std::uint64_t at) const { return at >= offset && at < end(); }
    // Gives how many of `out` it has from `at` on; they are copied.
    std::size_t copy(std::uint64_t at, MutableBytes out) const;
};

// Fetches stretches of an object while their reader is still at work with what was fetched before.
// Holds or awaits two blocks at most. Any thread.
class Prefetcher : NonCopyable {
public:
    // Fills `out` with the bytes from `offset` on, or throws. Called from threads of its own.
    using Fetch = std::function<void(std::uint64_t offset, MutableBytes out)>;

    // A block has up to `longest` bytes; with 0 nothing is fetched.
    Prefetcher(std::size_t longest, Fetch fetch) : longest_(longest), fetch_(std::move(fetch)) {}
    // Waits for what is on its way.
    ~Prefetcher() = default;

    // The bytes from `begin` to before `end` are read next, or after those that were expected
    // before. Nothing new where `begin` is expected already. Of two stretches that wait the one
    // that has been read from gives way to a third, or else the older one.
    void expect(std::uint64_t begin, std::uint64_t end);
    // Copies bytes from `at` on that were expected, once they are there, and gives how many; 0
    // where none were. A block is forgotten when its end has been read. Throws what `fetch` threw.
    std::size_t read(std::uint64_t at, MutableBytes out);

private:
    struct Stretch {
        std::uint64_t begin = 0;
        std::uint64_t next = 0; // what is to be fetched begins here
        std::uint64_t end = 0;
        bool has_been_read = false;

        bool has(std::uint64_t at) const { return at >= begin && at < end; }
    };
    struct Coming {
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
        std::shared_future<std::shared_ptr<const FetchedBlock>> block;
    };

    std::shared_future<std::shared_ptr<const FetchedBlock>> find(std::uint64_t at);
    void fetch_more();
    void fetch_from(Stretch& stretch);
    void forget(const Stretch& stretch);
    void note_end(std::uint64_t end);

    std::size_t longest_;
    Fetch fetch_;
    std::mutex mutex_; // guards what follows
    std::vector<Stretch> stretches_;
    std::vector<Coming> blocks_; // here or on their way, the oldest first
};

} // namespace pgstrata::storage
