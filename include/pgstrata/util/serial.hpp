// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace pgstrata {

// Appends the repository's binary encoding: fixed integers little-endian, `varint` in groups of
// seven bits (least significant first), `signed_varint` zig-zag, `text` as a varint length and the
// bytes.
class SerialWriter {
public:
    explicit SerialWriter(Buffer& out) : out_(out) {}
    void u8(std::uint8_t value);
    void u32(std::uint32_t value);
    void u64(std::uint64_t value);
    void varint(std::uint64_t value);
    void signed_varint(std::int64_t value);
    void text(std::string_view value);
    void raw(ByteView bytes) { out_.append(bytes); }

private:
    Buffer& out_;
};

// Reads it back. Every function throws Error(format) at the end of the bytes or on a value out of
// range, naming `what`, which must outlive the reader.
class SerialReader {
public:
    SerialReader(ByteView bytes, std::string_view what) : bytes_(bytes), what_(what) {}
    std::uint8_t u8();
    std::uint32_t u32();
    std::uint64_t u64();
    std::uint64_t varint();
    // A varint that must be at most `limit`.
    std::uint64_t varint(std::uint64_t limit);
    std::uint32_t varint_u32();
    std::int64_t signed_varint();
    std::string_view text(std::size_t limit = 1U << 20U);
    ByteView raw(std::size_t size);
    std::size_t remaining() const noexcept { return bytes_.size() - position_; }
    bool at_end() const noexcept { return remaining() == 0; }
    [[noreturn]] void fail(std::string_view problem) const;

private:
    ByteView bytes_;
    std::string_view what_;
    std::size_t position_ = 0;
};

} // namespace pgstrata
