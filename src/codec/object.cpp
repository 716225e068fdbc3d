// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/codec/object.hpp"

#include "pgstrata/codec/digest.hpp"

#include <algorithm>

namespace pgstrata::codec {

namespace {

constexpr std::uint32_t kObjectMagic = 0x184D2A5E;
constexpr std::uint32_t kFrameMagic = 0x184D2A5F;
// RFC 8878: any of 16 magic numbers begins a skippable frame, then comes its size.
constexpr std::uint32_t kNoteMagic = 0x184D2A50;
constexpr std::size_t kNoteHeaderSize = 8;
constexpr std::string_view kSignature = "pgstrata";
constexpr std::uint8_t kEndFlag = 1;
constexpr std::size_t kFieldsOffset = 8;
constexpr std::size_t kFieldsSize = 16;
constexpr std::size_t kTagOffset = kFieldsOffset + kFieldsSize;
constexpr std::size_t kSaltOffset = 24;
constexpr std::size_t kSaltSize = 32;
// A frame that does not compress is stored raw; the cipher may pad it by one block.
constexpr std::size_t kStoredLimit = kFrameRawLimit + 16;

Key derive_object_key(const Key& data_key, ByteView salt, const ObjectIdentity& identity)
{
    std::string info = "pgstrata object";
    info += '\0';
    info += static_cast<char>(kObjectFormatVersion);
    info += static_cast<char>(identity.kind);
    info += '\0';
    info += identity.path;
    Key key;
    hkdf_sha256(data_key.view(), salt, as_bytes(info), key.span());
    return key;
}

Nonce make_nonce(std::uint64_t offset)
{
    Nonce nonce{};
    store(nonce.data() + 4, offset);
    return nonce;
}

Tag plain_tag(ByteView fields, std::uint64_t offset, ByteView stored)
{
    std::array<std::byte, kFieldsSize + 8> bound{};
    std::memcpy(bound.data(), fields.data(), kFieldsSize);
    store(bound.data() + kFieldsSize, offset);
    return xxh3_128(stored, xxh3_64(bound));
}

void check_plain(ByteView fields, std::uint64_t offset, ByteView stored, const Tag& tag)
{
    if (plain_tag(fields, offset, stored) != tag) {
        raise(ErrorCode::checksum, "wrong checksum");
    }
}

} // namespace

FrameBody make_frame_body(ByteView raw, ZstdCompressor* compressor, Buffer& scratch)
{
    const auto raw_size = static_cast<std::uint32_t>(raw.size());
    if (compressor != nullptr && !raw.empty()) {
        compressor->compress(raw, scratch);
        if (scratch.size() < raw.size()) {
            return {scratch, raw_size, FrameCodec::zstd};
        }
    }
    return {raw, raw_size, FrameCodec::none};
}

FrameBody make_note(ByteView note, Buffer& scratch)
{
    scratch.resize(kNoteHeaderSize + note.size());
    store(scratch.data(), kNoteMagic);
    store(scratch.data() + 4, static_cast<std::uint32_t>(note.size()));
    std::ranges::copy(note, scratch.span().begin() + kNoteHeaderSize);
    return {scratch, 0, FrameCodec::zstd};
}

ObjectWriter::ObjectWriter(Sink& out, const ObjectIdentity& identity, const ObjectCipher& cipher)
    : out_(out), padded_(cipher.type == CipherType::aes_256_cbc)
{
    std::array<std::byte, kObjectHeaderSize> header{};
    store(header.data(), kObjectMagic);
    store(header.data() + 4, static_cast<std::uint32_t>(kObjectHeaderSize - 8));
    std::memcpy(header.data() + 8, kSignature.data(), kSignature.size());
    header[16] = static_cast<std::byte>(kObjectFormatVersion);
    header[17] = static_cast<std::byte>(identity.kind);
    header[18] = static_cast<std::byte>(cipher.type);
    if (cipher.type != CipherType::none) {
        const MutableBytes salt = MutableBytes(header).subspan(kSaltOffset, kSaltSize);
        fill_random(salt);
        cipher_ = make_cipher(cipher.type, derive_object_key(cipher.key, salt, identity));
    }
    store(header.data() + 56, xxh3_64(ByteView(header).first(56)));
    out_.write(header);
    offset_ = header.size();
}

FramePlace ObjectWriter::write_frame(const FrameBody& frame, std::uint8_t flags)
{
    std::array<std::byte, kFrameHeaderSize> header{};
    ByteView stored = frame.body;
    store(header.data(), kFrameMagic);
    store(header.data() + 4, static_cast<std::uint32_t>(kFrameHeaderSize - 8));
    store(header.data() + 12, frame.raw_size);
    header[16] = static_cast<std::byte>(frame.codec);
    header[17] = static_cast<std::byte>(flags);
    store(header.data() + 20, frames_);
    // The length is authenticated, so it must be known before sealing; CBC always pads to whole
    // blocks.
    const std::size_t stored_size = padded_ ? (stored.size() / 16 + 1) * 16 : stored.size();
    store(header.data() + 8, static_cast<std::uint32_t>(stored_size));
    const ByteView fields = ByteView(header).subspan(kFieldsOffset, kFieldsSize);
    Tag tag{};
    if (cipher_ != nullptr) {
        tag = cipher_->seal(make_nonce(offset_), fields, stored, sealed_);
        stored = sealed_;
    } else {
        tag = plain_tag(fields, offset_, stored);
    }
    std::memcpy(header.data() + kTagOffset, tag.data(), tag.size());
    out_.write(header);
    if (!stored.empty()) {
        out_.write(stored);
    }
    const FramePlace place{offset_, static_cast<std::uint32_t>(kFrameHeaderSize + stored.size())};
    offset_ += place.length;
    return place;
}

FramePlace ObjectWriter::append(const FrameBody& frame)
{
    const FramePlace place = write_frame(frame, 0);
    ++frames_;
    return place;
}

void ObjectWriter::finish()
{
    write_frame({}, kEndFlag);
}

struct ObjectReader::Header {
    std::uint32_t stored_size = 0;
    std::uint32_t raw_size = 0;
    std::uint32_t number = 0;
    FrameCodec codec = FrameCodec::none;
    bool is_end = false;
    std::array<std::byte, kFieldsSize> fields{};
    Tag tag{};
};

void ObjectReader::fail(ErrorCode code, std::string_view problem) const
{
    throw Error(code,
                fmt::format("'{}' in the repository is damaged: {}", identity_.path, problem),
                "restore this object from another copy of the repository, or use another backup");
}

void ObjectReader::fail_in_frame(FramePlace place, const Error& error) const
{
    fail(error.code(), fmt::format("frame at byte {}: {}", place.offset, error.what()));
}

ObjectReader::ObjectReader(const RandomSource& source,
                           ObjectIdentity identity,
                           const ObjectCipher& cipher)
    : source_(source), identity_(std::move(identity))
{
    std::array<std::byte, kObjectHeaderSize> header{};
    if (source_.read_at(0, header) != header.size()) {
        fail(ErrorCode::checksum, "it is shorter than its header");
    }
    if (load<std::uint32_t>(header.data()) != kObjectMagic ||
        load<std::uint32_t>(header.data() + 4) != kObjectHeaderSize - 8 ||
        std::memcmp(header.data() + 8, kSignature.data(), kSignature.size()) != 0) {
        fail(ErrorCode::checksum, "it does not begin with an object header");
    }
    if (load<std::uint64_t>(header.data() + 56) != xxh3_64(ByteView(header).first(56))) {
        fail(ErrorCode::checksum, "its header has a wrong checksum");
    }
    if (std::to_integer<std::uint8_t>(header[16]) != kObjectFormatVersion) {
        throw Error(ErrorCode::version_not_supported,
                    fmt::format("'{}' has object format {}, this program knows {}",
                                identity_.path,
                                std::to_integer<unsigned>(header[16]),
                                kObjectFormatVersion),
                    "use the version of pgstrata that wrote it, or a newer one");
    }
    if (header[17] != static_cast<std::byte>(identity_.kind)) {
        fail(ErrorCode::checksum, "it is an object of another kind");
    }
    if (header[18] != static_cast<std::byte>(cipher.type)) {
        fail(ErrorCode::crypto, "it is not encrypted as this repository is");
    }
    const std::size_t reserved = cipher.type == CipherType::none ? 5 + kSaltSize : 5;
    if (!is_zero(ByteView(header).subspan(19, reserved))) {
        fail(ErrorCode::checksum, "its header says what this version cannot say");
    }
    if (cipher.type != CipherType::none) {
        const ByteView salt = ByteView(header).subspan(kSaltOffset, kSaltSize);
        cipher_ = make_cipher(cipher.type, derive_object_key(cipher.key, salt, identity_));
    }
}

ObjectReader::Header ObjectReader::parse_header(FramePlace place, ByteView bytes) const
{
    if (bytes.size() < kFrameHeaderSize || load<std::uint32_t>(bytes.data()) != kFrameMagic ||
        load<std::uint32_t>(bytes.data() + 4) != kFrameHeaderSize - 8) {
        fail(ErrorCode::checksum, fmt::format("there is no frame at byte {}", place.offset));
    }
    Header header;
    header.stored_size = load<std::uint32_t>(bytes.data() + 8);
    header.raw_size = load<std::uint32_t>(bytes.data() + 12);
    header.codec = static_cast<FrameCodec>(bytes[16]);
    header.is_end = bytes[17] == std::byte{kEndFlag};
    header.number = load<std::uint32_t>(bytes.data() + 20);
    std::memcpy(header.fields.data(), bytes.data() + kFieldsOffset, kFieldsSize);
    std::memcpy(header.tag.data(), bytes.data() + kTagOffset, header.tag.size());
    if (header.stored_size > kStoredLimit || header.raw_size > kFrameRawLimit ||
        header.codec > FrameCodec::zstd || bytes[17] > std::byte{kEndFlag} ||
        load<std::uint16_t>(bytes.data() + 18) != 0) {
        fail(ErrorCode::checksum,
             fmt::format("the frame at byte {} has an impossible header", place.offset));
    }
    return header;
}

// What was stored, authenticated; valid until the next frame is opened.
ByteView ObjectReader::open_stored(const Header& header, FramePlace place, ByteView frame)
{
    const ByteView stored = frame.subspan(kFrameHeaderSize);
    if (cipher_ != nullptr) {
        cipher_->open(make_nonce(place.offset), header.fields, stored, header.tag, opened_);
        return opened_;
    }
    check_plain(header.fields, place.offset, stored, header.tag);
    return stored;
}

void ObjectReader::open_frame(const Header& header, FramePlace place, ByteView frame, Buffer& raw)
{
    try {
        const ByteView stored = open_stored(header, place, frame);
        raw.resize(header.raw_size);
        if (header.codec == FrameCodec::zstd) {
            decompressor_.decompress(stored, raw.span());
        } else if (stored.size() != raw.size()) {
            raise(ErrorCode::checksum, "wrong size");
        } else if (!stored.empty()) {
            std::memcpy(raw.data(), stored.data(), stored.size());
        }
    } catch (const Error& error) {
        fail_in_frame(place, error);
    }
}

void ObjectReader::decode(FramePlace place, ByteView frame, Buffer& raw)
{
    const Header header = parse_header(place, frame);
    if (frame.size() != place.length || header.stored_size != frame.size() - kFrameHeaderSize) {
        fail(ErrorCode::checksum,
             fmt::format("the frame at byte {} has another length", place.offset));
    }
    if (header.is_end) {
        fail(ErrorCode::checksum, fmt::format("the object ends at byte {}", place.offset));
    }
    open_frame(header, place, frame, raw);
}

void ObjectReader::read(FramePlace place, Buffer& raw)
{
    if (place.length < kFrameHeaderSize || place.length > kFrameHeaderSize + kStoredLimit) {
        fail(ErrorCode::format, fmt::format("a frame of {} bytes is impossible", place.length));
    }
    stored_.resize(place.length);
    if (source_.read_at(place.offset, stored_.span()) != stored_.size()) {
        fail(ErrorCode::checksum, fmt::format("it is truncated at byte {}", source_.size()));
    }
    decode(place, stored_, raw);
}

// The whole frame that begins at `place`, in `frame_`; its length comes from its header.
ObjectReader::Header ObjectReader::load_frame(FramePlace& place)
{
    const auto view = [&](std::size_t size) {
        frame_ = source_.view_at(place.offset, size, stored_);
        if (frame_.size() != size) {
            fail(ErrorCode::checksum, fmt::format("it is truncated at byte {}", source_.size()));
        }
    };
    view(kFrameHeaderSize);
    const Header header = parse_header(place, frame_);
    view(kFrameHeaderSize + header.stored_size);
    place.length = static_cast<std::uint32_t>(frame_.size());
    return header;
}

std::optional<Buffer> ObjectReader::read_note()
{
    FramePlace place{kObjectHeaderSize, kFrameHeaderSize};
    const Header header = load_frame(place);
    if (header.is_end || header.raw_size != 0 || header.codec != FrameCodec::zstd) {
        return std::nullopt;
    }
    try {
        const ByteView stored = open_stored(header, place, frame_);
        if (stored.size() < kNoteHeaderSize || load<std::uint32_t>(stored.data()) != kNoteMagic ||
            load<std::uint32_t>(stored.data() + 4) != stored.size() - kNoteHeaderSize) {
            raise(ErrorCode::checksum, "it is no note");
        }
        Buffer note;
        note.append(stored.subspan(kNoteHeaderSize));
        return note;
    } catch (const Error& error) {
        fail_in_frame(place, error);
    }
}

bool ObjectReader::next(Buffer& raw)
{
    place_ = {next_offset_, kFrameHeaderSize};
    const Header header = load_frame(place_);
    open_frame(header, place_, frame_, raw);
    return step_over(header);
}

bool ObjectReader::check_next(std::uint32_t& raw_size)
{
    place_ = {next_offset_, kFrameHeaderSize};
    const Header header = load_frame(place_);
    const ByteView stored = frame_.subspan(kFrameHeaderSize);
    try {
        if (cipher_ != nullptr) {
            cipher_->check(make_nonce(place_.offset), header.fields, stored, header.tag);
        } else {
            check_plain(header.fields, place_.offset, stored, header.tag);
        }
    } catch (const Error& error) {
        fail_in_frame(place_, error);
    }
    raw_size = header.raw_size;
    return step_over(header);
}

// Goes on behind the frame that was read. False when it is the end frame.
bool ObjectReader::step_over(const Header& header)
{
    if (is_counting_ && header.number != next_number_) {
        fail(ErrorCode::checksum, fmt::format("frame {} is missing", next_number_));
    }
    is_counting_ = true;
    next_offset_ += place_.length;
    next_number_ = header.number + 1;
    if (header.is_end && next_offset_ != source_.size()) {
        fail(ErrorCode::checksum, "there are bytes after its end");
    }
    return !header.is_end;
}

void ObjectReader::resume_at(std::uint64_t offset) noexcept
{
    next_offset_ = offset;
    is_counting_ = false;
}

Buffer read_object(const RandomSource& source,
                   const ObjectIdentity& identity,
                   const ObjectCipher& cipher,
                   std::size_t limit)
{
    ObjectReader reader(source, identity, cipher);
    Buffer whole;
    Buffer frame;
    while (reader.next(frame)) {
        if (whole.size() + frame.size() > limit) {
            raise(ErrorCode::format,
                  "'{}' in the repository holds more than {} bytes",
                  identity.path,
                  limit);
        }
        whole.append(frame);
    }
    return whole;
}

void write_object(Sink& out,
                  const ObjectIdentity& identity,
                  const ObjectCipher& cipher,
                  ByteView raw,
                  ZstdCompressor* compressor)
{
    ObjectWriter writer(out, identity, cipher);
    Buffer scratch;
    while (!raw.empty()) {
        const ByteView piece = raw.first(std::min(raw.size(), kFrameRawLimit));
        writer.append(make_frame_body(piece, compressor, scratch));
        raw = raw.subspan(piece.size());
    }
    writer.finish();
}

} // namespace pgstrata::codec
