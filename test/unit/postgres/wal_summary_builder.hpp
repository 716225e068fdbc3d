// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/crc32c.hpp"
#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace pgstrata::test {

using Words = std::vector<std::uint16_t>;

struct SummaryEntry {
    std::uint32_t tablespace = 1663;
    std::uint32_t database = 5;
    std::uint32_t relation = 0;
    std::uint32_t fork = 0;
    std::uint32_t limit = 0xFFFFFFFF;
    std::vector<Words> chunks;
};

// A bitmap chunk with these blocks.
inline Words bitmap(std::initializer_list<unsigned> blocks)
{
    Words words(4096);
    for (const unsigned block : blocks) {
        words[block / 16] = static_cast<std::uint16_t>(words[block / 16] | 1U << block % 16);
    }
    return words;
}

// Writes WAL summaries as a server would.
class WalSummaryBuilder {
public:
    WalSummaryBuilder() { put(std::uint32_t{0x652B137B}); }

    WalSummaryBuilder& add(const SummaryEntry& entry)
    {
        add_head(entry, static_cast<std::uint32_t>(entry.chunks.size()));
        for (const Words& chunk : entry.chunks) {
            put(static_cast<std::uint16_t>(chunk.size()));
        }
        for (const Words& chunk : entry.chunks) {
            for (const std::uint16_t word : chunk) {
                put(word);
            }
        }
        return *this;
    }
    // No more than the first 24 bytes.
    WalSummaryBuilder& add_head(const SummaryEntry& entry, std::uint32_t chunks)
    {
        for (const std::uint32_t field :
             {entry.tablespace, entry.database, entry.relation, entry.fork, entry.limit, chunks}) {
            put(field);
        }
        return *this;
    }
    template <typename Number>
    WalSummaryBuilder& put(Number number)
    {
        const std::size_t size = bytes_.size();
        bytes_.resize(size + sizeof number);
        store(bytes_.data() + size, number);
        return *this;
    }
    WalSummaryBuilder& end()
    {
        bytes_.resize(bytes_.size() + 24);
        return *this;
    }
    // With the checksum of what there is.
    std::vector<std::byte> sealed() const
    {
        WalSummaryBuilder copy = *this;
        copy.put(postgres::crc32c(bytes_));
        return copy.bytes_;
    }

private:
    std::vector<std::byte> bytes_;
};

} // namespace pgstrata::test
