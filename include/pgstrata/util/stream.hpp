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
    // The same where the bytes lie already, or else read into `room`, which is one thread's: valid
    // until that thread's next call.
    virtual ByteView view_at(std::uint64_t offset, std::size_t size, Buffer& room) const;
    // Says that these bytes are read next, front to back, or after those of the call before; what
    // lies behind them is not. A store that is asked for long stretches needs fewer requests, and
    // may send them while its reader is still at work with others. Changes nothing else.
    virtual void expect(std::uint64_t /*offset*/, std::uint64_t /*size*/) const {}
    // Bytes that nobody needs between two that are needed: up to so many are read over sooner than
    // left out.
    virtual std::uint64_t read_over() const noexcept { return 0; }
};

// Bytes in memory as a RandomSource; the view must outlive it.
class MemorySource final : public RandomSource {
public:
    explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override;
    ByteView view_at(std::uint64_t offset, std::size_t size, Buffer& room) const override;

private:
    ByteView bytes_;
};

// Reads another source front to back in long reads, which is what stores and disks like, whatever
// is asked of it. One thread at a time.
class ReadAheadSource final : public RandomSource {
public:
    static constexpr std::size_t kWindow = std::size_t{4} << 20U;

    // Both outlive it. `window` gives the memory, so that one is enough for many sources.
    ReadAheadSource(const RandomSource& source, Buffer& window);
    std::uint64_t size() const override { return source_.size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override;
    // What is longer than the window is read into `room`.
    ByteView view_at(std::uint64_t offset, std::size_t size, Buffer& room) const override;

private:
    ByteView fetch(std::uint64_t offset, std::size_t size) const;

    const RandomSource& source_;
    Buffer& window_;
    mutable std::uint64_t begin_ = 0; // of the window in the source
    mutable std::size_t filled_ = 0;  // bytes of it that were read
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
