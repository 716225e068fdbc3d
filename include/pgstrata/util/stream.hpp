// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <cstdint>

namespace pgstrata {

// Takes bytes in order. One thread at a time.
class Sink : NonCopyable {
public:
    virtual ~Sink() = default;
    // Consumes all of `bytes` or throws.
    virtual void write(ByteView bytes) = 0;
};

// Bytes that can be read at any place. All functions may be called from several threads at once.
class RandomSource : NonCopyable {
public:
    virtual ~RandomSource() = default;
    virtual std::uint64_t size() const = 0;
    // Fills `out` from `offset` on and returns how many bytes there were: fewer only at the end.
    virtual std::size_t read_at(std::uint64_t offset, MutableBytes out) const = 0;
};

// Bytes in memory as a RandomSource; the view must outlive it.
class MemorySource final : public RandomSource {
public:
    explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override;

private:
    ByteView bytes_;
};

// Collects what is written to it.
class BufferSink final : public Sink {
public:
    explicit BufferSink(Buffer& out) : out_(out) {}
    void write(ByteView bytes) override { out_.append(bytes); }

private:
    Buffer& out_;
};

} // namespace pgstrata
