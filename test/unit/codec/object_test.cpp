// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/codec/object.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::codec;
using pgstrata::test::HasCode;

namespace {

ObjectCipher make_object_cipher(CipherType type, char seed = 'k')
{
    ObjectCipher cipher{type, {}};
    std::memset(cipher.key.span().data(), seed, cipher.key.span().size());
    return cipher;
}

const ObjectIdentity kIdentity = {ObjectKind::pack, "backup/main/20261121-020000F/pack/000001"};

// 2.5 frames of text that compresses.
std::string sample_text()
{
    std::string text;
    while (text.size() < kFrameRawLimit * 5 / 2) {
        text += std::to_string(text.size() * 7919) + "\n";
    }
    return text;
}

Buffer write_sample(const ObjectCipher& cipher, const std::string& text, ZstdCompressor* compressor)
{
    Buffer bytes;
    BufferSink sink(bytes);
    write_object(sink, kIdentity, cipher, as_bytes(text), compressor);
    return bytes;
}

// How an object is gone through to its end.
enum class Depth : std::uint8_t { stored, contents };

// Gives the raw bytes that the frames say they have.
std::uint64_t go_through(ByteView bytes, const ObjectCipher& cipher, Depth depth)
{
    if (depth == Depth::contents) {
        return read_object(MemorySource(bytes), kIdentity, cipher, 1U << 24U).size();
    }
    const MemorySource source(bytes);
    ObjectReader reader(source, kIdentity, cipher);
    std::uint64_t all = 0;
    for (std::uint32_t raw = 0; reader.check_next(raw);) {
        all += raw;
    }
    return all;
}

} // namespace

TEST_CASE("an object comes back whole with every cipher and with or without compression",
          "[codec][object][bug-50]")
{
    const ObjectCipher cipher = make_object_cipher(
        GENERATE(CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc));
    const bool compressed = GENERATE(false, true);
    const std::string text = GENERATE(std::string(), std::string("short"), sample_text());
    ZstdCompressor compressor(1);

    const Buffer bytes = write_sample(cipher, text, compressed ? &compressor : nullptr);
    const Buffer back = read_object(MemorySource(bytes), kIdentity, cipher, 1U << 24U);

    CHECK(as_text(back) == text);
    CHECK(go_through(bytes, cipher, Depth::stored) == text.size());
    CHECK((cipher.type == CipherType::none ||
           as_text(bytes).find("short") == std::string_view::npos));
}

TEST_CASE("a note is read without the contents, and the contents without the note",
          "[codec][object]")
{
    const ObjectCipher cipher = make_object_cipher(
        GENERATE(CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc));
    const std::string note = GENERATE(std::string(), std::string("sixteen bytes of"));
    ZstdCompressor compressor(1);
    Buffer bytes;
    BufferSink sink(bytes);
    ObjectWriter writer(sink, kIdentity, cipher);
    Buffer scratch;
    writer.append(make_note(as_bytes(note), scratch));
    const std::string text(1000, 'x');
    writer.append(make_frame_body(as_bytes(text), &compressor, scratch));
    writer.finish();

    const MemorySource source(bytes);
    const auto back = ObjectReader(source, kIdentity, cipher).read_note();
    REQUIRE(back);
    CHECK(as_text(*back) == note);
    CHECK(as_text(read_object(source, kIdentity, cipher, text.size())) == text);
    if (cipher.type == CipherType::none) {
        // What `zstd -d` makes of it.
        Buffer plain(text.size());
        ZstdDecompressor().decompress(bytes, plain.span());
        CHECK(as_text(plain) == text);
    }
    bytes.span()[kObjectHeaderSize + kFrameHeaderSize + 2] ^= std::byte{1};
    CHECK_THROWS_AS(ObjectReader(source, kIdentity, cipher).read_note(), Error);
}

TEST_CASE("an object without a note has none", "[codec][object]")
{
    const ObjectCipher cipher =
        make_object_cipher(GENERATE(CipherType::none, CipherType::aes_256_gcm));
    const std::string text = GENERATE(std::string(), std::string("text"));
    ZstdCompressor compressor(1);
    const Buffer bytes = write_sample(cipher, text, &compressor);
    CHECK_FALSE(ObjectReader(MemorySource(bytes), kIdentity, cipher).read_note());
}

TEST_CASE("any frame of an object can be read by its place alone", "[codec][object]")
{
    const ObjectCipher cipher =
        make_object_cipher(GENERATE(CipherType::none, CipherType::aes_256_gcm));
    ZstdCompressor compressor(3);
    Buffer bytes;
    BufferSink sink(bytes);
    Buffer scratch;
    ObjectWriter writer(sink, kIdentity, cipher);
    const FramePlace first =
        writer.append(make_frame_body(as_bytes("first"), &compressor, scratch));
    const FramePlace second =
        writer.append(make_frame_body(as_bytes("second"), &compressor, scratch));
    writer.finish();

    const MemorySource source(bytes);
    ObjectReader reader(source, kIdentity, cipher);
    Buffer raw;
    reader.read(second, raw);
    CHECK(as_text(raw) == "second");
    reader.read(first, raw);
    CHECK(as_text(raw) == "first");
    CHECK_THROWS_AS(reader.read({first.offset, second.length + first.length}, raw), Error);
    CHECK_THROWS_AS(reader.read({first.offset + 1, first.length}, raw), Error);
    CHECK_THROWS_AS(reader.read({1U << 30U, first.length}, raw), Error);
}

TEST_CASE("a flipped byte anywhere in an object is noticed", "[codec][object][bug-58][bug-51]")
{
    const ObjectCipher cipher = make_object_cipher(
        GENERATE(CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc));
    ZstdCompressor compressor(3);
    Buffer bytes = write_sample(
        cipher, "a text of no great length, twice: a text of no great length", &compressor);
    const Depth depth = GENERATE(Depth::stored, Depth::contents);

    for (std::size_t at = 0; at < bytes.size(); ++at) {
        bytes.span()[at] ^= std::byte{0x20};
        CAPTURE(at);
        CHECK_THROWS_AS(go_through(bytes, cipher, depth), Error);
        bytes.span()[at] ^= std::byte{0x20};
    }
}

TEST_CASE("an object cut short at any byte is noticed", "[codec][object][bug-41]")
{
    const ObjectCipher cipher =
        make_object_cipher(GENERATE(CipherType::none, CipherType::aes_256_gcm));
    const Buffer bytes = write_sample(cipher, "some text", nullptr);
    const Depth depth = GENERATE(Depth::stored, Depth::contents);

    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        CHECK_THROWS_AS(go_through(bytes.view().first(size), cipher, depth), Error);
    }
}

TEST_CASE("bytes after the end of an object are noticed", "[codec][object]")
{
    Buffer bytes = write_sample(make_object_cipher(CipherType::none), "text", nullptr);
    bytes.append(as_bytes("x"));
    const Depth depth = GENERATE(Depth::stored, Depth::contents);
    CHECK_THROWS_MATCHES(go_through(bytes, make_object_cipher(CipherType::none), depth),
                         Error,
                         HasCode(ErrorCode::checksum));
}

TEST_CASE("an encrypted object opens under no other name, kind or key", "[codec][object][bug-51]")
{
    ObjectCipher cipher = make_object_cipher(CipherType::aes_256_gcm);
    const Buffer bytes = write_sample(cipher, "text", nullptr);
    ObjectIdentity identity = kIdentity;

    SECTION("name")
    {
        identity.path += "2";
    }
    SECTION("kind")
    {
        identity.kind = ObjectKind::manifest;
    }
    SECTION("key")
    {
        cipher = make_object_cipher(CipherType::aes_256_gcm, 'x');
    }

    CHECK_THROWS_AS(read_object(MemorySource(bytes), identity, cipher, 100), Error);
}

TEST_CASE("a plain object is refused where a cipher is set, and the other way round",
          "[codec][object][bug-51]")
{
    const auto [written, read] = GENERATE(table<CipherType, CipherType>({
        {CipherType::none, CipherType::aes_256_gcm},
        {CipherType::aes_256_gcm, CipherType::none},
        {CipherType::aes_256_cbc, CipherType::aes_256_gcm},
    }));
    const Buffer bytes = write_sample(make_object_cipher(written), "text", nullptr);
    CHECK_THROWS_MATCHES(read_object(MemorySource(bytes), kIdentity, make_object_cipher(read), 100),
                         Error,
                         HasCode(ErrorCode::crypto));
}

TEST_CASE("two frames that changed places are noticed", "[codec][object][bug-41]")
{
    const ObjectCipher cipher =
        make_object_cipher(GENERATE(CipherType::none, CipherType::aes_256_gcm));
    Buffer bytes;
    BufferSink sink(bytes);
    ObjectWriter writer(sink, kIdentity, cipher);
    Buffer scratch;
    const FramePlace first = writer.append(make_frame_body(as_bytes("AAAA"), nullptr, scratch));
    const FramePlace second = writer.append(make_frame_body(as_bytes("BBBB"), nullptr, scratch));
    writer.finish();
    REQUIRE(first.length == second.length);
    std::swap_ranges(
        bytes.data() + first.offset, bytes.data() + second.offset, bytes.data() + second.offset);

    const Depth depth = GENERATE(Depth::stored, Depth::contents);
    CHECK_THROWS_AS(go_through(bytes, cipher, depth), Error);
}

TEST_CASE("frames are checked without decompressing them", "[codec][object]")
{
    const ObjectCipher cipher = make_object_cipher(
        GENERATE(CipherType::none, CipherType::aes_256_gcm, CipherType::aes_256_cbc));
    Buffer bytes;
    BufferSink sink(bytes);
    ObjectWriter writer(sink, kIdentity, cipher);
    writer.append({as_bytes("this is nothing that zstd has written"), 100, FrameCodec::zstd});
    writer.finish();

    CHECK(go_through(bytes, cipher, Depth::stored) == 100);
    CHECK_THROWS_AS(go_through(bytes, cipher, Depth::contents), Error);
}

TEST_CASE("an object of a newer format is refused as such", "[codec][object][bug-48]")
{
    Buffer bytes = write_sample(make_object_cipher(CipherType::none), "text", nullptr);
    bytes.span()[16] = std::byte{2};
    // The header's own checksum is right again: this is not damage.
    store(bytes.data() + 56, xxh3_64(bytes.view().first(56)));
    CHECK_THROWS_MATCHES(
        read_object(MemorySource(bytes), kIdentity, make_object_cipher(CipherType::none), 100),
        Error,
        HasCode(ErrorCode::version_not_supported));
}

TEST_CASE("bytes of the header that have no meaning yet must be zero", "[codec][object][bug-54]")
{
    const ObjectCipher cipher =
        make_object_cipher(GENERATE(CipherType::none, CipherType::aes_256_gcm));
    Buffer bytes = write_sample(cipher, "text", nullptr);
    const std::size_t last = cipher.type == CipherType::none ? 55 : 23;
    const auto at = GENERATE_COPY(as<std::size_t>(), 19, last);
    bytes.span()[at] = std::byte{1};
    store(bytes.data() + 56, xxh3_64(bytes.view().first(56)));
    CHECK_THROWS_MATCHES(read_object(MemorySource(bytes), kIdentity, cipher, 100),
                         Error,
                         HasCode(ErrorCode::checksum));
}
