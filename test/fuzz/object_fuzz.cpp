// SPDX-License-Identifier: PostgreSQL
#include "fuzz/harness.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/codec/object.hpp"

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::codec;

namespace {

constexpr std::size_t kLimit = 16U << 20U;

void read(ByteView bytes, CipherType type)
{
    const MemorySource source(bytes);
    ObjectCipher cipher;
    cipher.type = type;
    for (const ObjectKind kind : {ObjectKind::pack, ObjectKind::wal}) {
        test::survives([&] {
            test::require(read_object(source, {kind, "a path"}, cipher, kLimit).size() <= kLimit);
        });
    }
    test::survives([&] {
        ObjectReader reader(source, {ObjectKind::pack, "a path"}, cipher);
        Buffer raw;
        test::survives([&] { reader.read({kObjectHeaderSize, 0xFFFFFFFF}, raw); });
        reader.read({kObjectHeaderSize, static_cast<std::uint32_t>(bytes.size())}, raw);
    });
}

// Makes the checksums of header and frames right, for as long as there are frames.
void repair(MutableBytes bytes)
{
    if (bytes.size() < kObjectHeaderSize) {
        return;
    }
    store(bytes.data() + 56, xxh3_64(bytes.first(56)));
    std::size_t at = kObjectHeaderSize;
    while (bytes.size() - at >= kFrameHeaderSize) {
        const MutableBytes frame = bytes.subspan(at);
        const std::size_t stored = std::min<std::size_t>(load<std::uint32_t>(frame.data() + 8),
                                                         frame.size() - kFrameHeaderSize);
        std::array<std::byte, 24> bound{};
        std::memcpy(bound.data(), frame.data() + 8, 16);
        store(bound.data() + 16, static_cast<std::uint64_t>(at));
        const Digest128 tag =
            xxh3_128(ByteView(frame).subspan(kFrameHeaderSize, stored), xxh3_64(bound));
        std::memcpy(frame.data() + 24, tag.data(), tag.size());
        at += kFrameHeaderSize + stored;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Buffer bytes;
    bytes.append(test::input_bytes(data, size));
    for (const CipherType type :
         {CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc}) {
        read(bytes, type);
    }
    repair(bytes.span());
    read(bytes, CipherType::none);
    return 0;
}
