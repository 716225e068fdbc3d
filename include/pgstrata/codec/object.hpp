// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/cipher.hpp"
#include "pgstrata/codec/zstd.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/stream.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace pgstrata::codec {

// The one container of the repository: a header, frames, and an end frame; pgstrata-repository(5)
// has it byte by byte. Headers are skippable frames of zstd (RFC 8878), so an object without a
// cipher whose frames are compressed is a file that `zstd -d` opens. Integers are little-endian.
//
//   object header, 64 bytes: u32 0x184D2A5E, u32 56, "pgstrata", u8 format version, u8 kind, u8
//   cipher,
//                            5 zero bytes, 32 bytes of random salt (zero without a cipher),
//                            u64 XXH3-64 of the 56 bytes before it
//   frame: u32 0x184D2A5F, u32 32, u32 stored length, u32 raw length, u8 codec, u8 flags, u16 zero,
//          u32 number of the frame, 16 bytes tag; then the stored bytes
//   end frame: a frame with flag 1, no bytes, and the number of frames before it as its number
//
// Without a cipher the tag is XXH3-128 of the stored bytes, seeded with XXH3-64 of the frame's 16
// field bytes and its offset. With one it authenticates them: the nonce is four zero bytes and the
// frame's offset in the object (u64), the associated data its 16 field bytes; the key is
// HKDF-SHA-256(data key, salt, "pgstrata object" 0 version kind 0 path), so neither frames nor
// objects can change places.
inline constexpr std::uint8_t kObjectFormatVersion = 1;
inline constexpr std::size_t kObjectHeaderSize = 64;
inline constexpr std::size_t kFrameHeaderSize = 40;
inline constexpr std::size_t kFrameRawLimit = 1U << 20U;

enum class ObjectKind : std::uint8_t {
    pack = 1,
    manifest = 2,
    wal = 3,
    archive_file = 4,
    document = 5,
    journal = 6
};
enum class FrameCodec : std::uint8_t { none = 0, zstd = 1 };

// What an object is bound to: moved under another name or into another role it does not open.
struct ObjectIdentity {
    ObjectKind kind = ObjectKind::document;
    std::string path; // in the repository
};

// How a repository seals its objects. `key` is unused without a cipher.
struct ObjectCipher {
    CipherType type = CipherType::none;
    Key key;
};

// A frame before it is sealed. `body` is compressed when `codec` says so.
struct FrameBody {
    ByteView body;
    std::uint32_t raw_size = 0;
    FrameCodec codec = FrameCodec::none;
};

// Where a frame is: the offset of its header and the length of header and stored bytes together.
struct FramePlace {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
};

// Compresses up to kFrameRawLimit bytes into `scratch`; keeps them raw when that is not larger (or
// `compressor` is null). The result points into `raw` or `scratch`.
FrameBody make_frame_body(ByteView raw, ZstdCompressor* compressor, Buffer& scratch);

// A frame that gives no bytes and carries a note of up to 4 KiB instead: its body is a skippable
// frame of zstd, so that nothing that reads the contents sees it. Only as the first of an object.
FrameBody make_note(ByteView note, Buffer& scratch);

// Writes one object to `out`, which must outlive it. One thread at a time.
class ObjectWriter : NonCopyable {
public:
    ObjectWriter(Sink& out, const ObjectIdentity& identity, const ObjectCipher& cipher);
    FramePlace append(const FrameBody& frame);
    // Writes the end frame. An object without it is truncated.
    void finish();
    // Bytes written so far, which is where the next frame will begin.
    std::uint64_t size() const noexcept { return offset_; }

private:
    FramePlace write_frame(const FrameBody& frame, std::uint8_t flags);

    Sink& out_;
    std::unique_ptr<Cipher> cipher_;
    bool padded_ = false; // the cipher pads to whole blocks
    Buffer sealed_;
    std::uint64_t offset_ = 0;
    std::uint32_t frames_ = 0;
};

// Opens frames of one object. Checks everything it reads: a header of another kind, cipher or
// format version, damage and truncation throw Error(checksum), Error(crypto),
// Error(version_not_supported) or Error(format) with the object's path. With a cipher, plain
// objects are refused. One thread at a time, but open() may be called once a thread on the same
// source.
class ObjectReader : NonCopyable {
public:
    // `source` must outlive the reader.
    ObjectReader(const RandomSource& source, ObjectIdentity identity, const ObjectCipher& cipher);

    // Reads, authenticates and decompresses the frame at `place` into `raw`.
    void read(FramePlace place, Buffer& raw);
    // The same for a frame whose bytes (header and stored) are at hand, for long range reads.
    void decode(FramePlace place, ByteView frame, Buffer& raw);

    // The note that the object begins with; nullopt when it has none.
    std::optional<Buffer> read_note();
    // Front to back: the next frame after the header or the last one read this way. False after the
    // end frame, whose count and position at the end of the object have then been checked.
    bool next(Buffer& raw);
    // The same without decompressing: the frame's stored bytes are proved to be those that were
    // stored here, and `raw_size` is what its header says they give.
    bool check_next(std::uint32_t& raw_size);
    // Where the frame is that next() or check_next() returned or failed at last.
    FramePlace place() const noexcept { return place_; }
    // next() goes on with the frame at `offset`, whatever number it has, to get past a damaged one.
    void resume_at(std::uint64_t offset) noexcept;

private:
    struct Header;
    Header parse_header(FramePlace place, ByteView bytes) const;
    Header load_frame(FramePlace& place);
    ByteView open_stored(const Header& header, FramePlace place, ByteView frame);
    bool step_over(const Header& header);
    void open_frame(const Header& header, FramePlace place, ByteView frame, Buffer& raw);
    [[noreturn]] void fail(ErrorCode code, std::string_view problem) const;
    [[noreturn]] void fail_in_frame(FramePlace place, const Error& error) const;

    const RandomSource& source_;
    ObjectIdentity identity_;
    std::unique_ptr<Cipher> cipher_;
    ZstdDecompressor decompressor_;
    Buffer stored_;
    Buffer opened_;
    ByteView frame_; // the one that was loaded last
    FramePlace place_;
    std::uint64_t next_offset_ = kObjectHeaderSize;
    std::uint32_t next_number_ = 0;
    bool is_counting_ = true; // the number of the next frame is known
};

// A whole object in memory: at most `limit` raw bytes. Throws Error(format) when it holds more.
Buffer read_object(const RandomSource& source,
                   const ObjectIdentity& identity,
                   const ObjectCipher& cipher,
                   std::size_t limit);
// Cuts `raw` into frames and writes a complete object.
void write_object(Sink& out,
                  const ObjectIdentity& identity,
                  const ObjectCipher& cipher,
                  ByteView raw,
                  ZstdCompressor* compressor);

} // namespace pgstrata::codec
