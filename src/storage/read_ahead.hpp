// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/prefetcher.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace pgstrata::storage {

// Says how much more of an object than what was asked for is worth fetching, and keeps it: a
// request costs a store about as much as the first MiB that it gives, and who reads small files or
// their page maps reads their neighbours soon. Who reads from front to back gets ever longer
// blocks; several of them, who take turns, are told from each other by where they read. Any thread.
class ReadAhead : NonCopyable {
public:
    // A block has up to `longest` bytes, and so much is kept in all; with 0 nothing is. Up to
    // `read_over` bytes may be left out between two reads from front to back.
    ReadAhead(std::size_t longest, std::uint64_t read_over)
        : longest_(longest), read_over_(read_over)
    {
    }

    // Copies bytes from `at` on that are kept and gives how many; 0 when none are.
    std::size_t copy(std::uint64_t at, MutableBytes out) const;
    // What has been read, from wherever it came. A block whose end was read has served: many
    // objects may be open, and idle ones keep none.
    void note(std::uint64_t begin, std::uint64_t end);
    // How much to fetch for a read of `wanted` bytes at `at`; none says that reads as long as this
    // need no more than what is wanted.
    std::optional<std::size_t> block_size(std::uint64_t at, std::size_t wanted);
    // Keeps what was fetched for that.
    void keep(std::shared_ptr<const FetchedBlock> block);

private:
    struct Reader {
        std::size_t next_block;
        std::uint64_t expected = 0; // where it goes on
        std::shared_ptr<const FetchedBlock> block{};
    };

    Reader& take_turn(std::uint64_t at);

    std::size_t longest_;
    std::uint64_t read_over_;
    mutable std::mutex mutex_;    // guards what follows
    std::vector<Reader> readers_; // the one that read last is the last
};

} // namespace pgstrata::storage
