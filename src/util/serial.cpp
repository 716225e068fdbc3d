// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/serial.hpp"

#include "pgstrata/util/error.hpp"

#include <bit>
#include <limits>

namespace pgstrata {

static_assert(std::endian::native == std::endian::little,
              "the repository and PostgreSQL's files are read in place as little-endian");

void SerialWriter::u8(std::uint8_t value)
{
    out_.append(std::as_bytes(std::span(&value, 1)));
}

void SerialWriter::u32(std::uint32_t value)
{
    out_.append(std::as_bytes(std::span(&value, 1)));
}

void SerialWriter::u64(std::uint64_t value)
{
    out_.append(std::as_bytes(std::span(&value, 1)));
}

void SerialWriter::varint(std::uint64_t value)
{
    std::array<std::byte, 10> bytes{};
    std::size_t size = 0;
    do {
        const auto low = static_cast<std::uint8_t>(value & 0x7FU);
        value >>= 7U;
        bytes[size++] = static_cast<std::byte>(value != 0 ? low | 0x80U : low);
    } while (value != 0);
    out_.append(ByteView(bytes).first(size));
}

void SerialWriter::signed_varint(std::int64_t value)
{
    const auto bits = static_cast<std::uint64_t>(value);
    varint((bits << 1U) ^ (value < 0 ? ~std::uint64_t{0} : 0));
}

void SerialWriter::text(std::string_view value)
{
    varint(value.size());
    out_.append(as_bytes(value));
}

void SerialReader::fail(std::string_view problem) const
{
    raise(ErrorCode::format, "{} is invalid: {} at byte {}", what_, problem, position_);
}

ByteView SerialReader::raw(std::size_t size)
{
    if (size > remaining()) {
        fail("it ends too early");
    }
    const ByteView bytes = bytes_.subspan(position_, size);
    position_ += size;
    return bytes;
}

std::uint8_t SerialReader::u8()
{
    return std::to_integer<std::uint8_t>(raw(1)[0]);
}

std::uint32_t SerialReader::u32()
{
    return load<std::uint32_t>(raw(4).data());
}

std::uint64_t SerialReader::u64()
{
    return load<std::uint64_t>(raw(8).data());
}

std::uint64_t SerialReader::varint()
{
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const std::uint8_t byte = u8();
        value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
        if ((byte & 0x80U) == 0) {
            // One number has one encoding, so that equal contents are equal bytes.
            if ((byte == 0 && shift != 0) || (shift == 63 && byte > 1)) {
                fail("a number is not in its shortest form");
            }
            return value;
        }
    }
    fail("a number is too long");
}

std::uint64_t SerialReader::varint(std::uint64_t limit)
{
    const std::uint64_t value = varint();
    if (value > limit) {
        fail("a number is out of range");
    }
    return value;
}

std::uint32_t SerialReader::varint_u32()
{
    return static_cast<std::uint32_t>(varint(std::numeric_limits<std::uint32_t>::max()));
}

std::int64_t SerialReader::signed_varint()
{
    const std::uint64_t bits = varint();
    return static_cast<std::int64_t>((bits >> 1U) ^ (~(bits & 1U) + 1U));
}

std::string_view SerialReader::text(std::size_t limit)
{
    const std::uint64_t size = varint();
    if (size > limit) {
        fail("a text is too long");
    }
    return as_text(raw(size));
}

} // namespace pgstrata
