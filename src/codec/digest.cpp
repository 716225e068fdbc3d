// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/codec/digest.hpp"

#include "codec/crypto_library.hpp"

#include "pgstrata/util/error.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace pgstrata::codec {

namespace {

void require_digest(int result)
{
    if (result != 1) {
        raise(ErrorCode::crypto, "the digest library failed");
    }
}

bool try_md5(ByteView bytes, std::array<std::byte, 16>& digest)
{
    return crypto().digest(bytes.data(),
                           bytes.size(),
                           as_u8(MutableBytes(digest)),
                           nullptr,
                           crypto().md5(),
                           nullptr) == 1;
}

Digest128 canonical_bytes(XXH128_hash_t hash)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    Digest128 digest{};
    std::memcpy(digest.data(), canonical.digest, digest.size());
    return digest;
}

} // namespace

Sha256::Sha256() : context_(crypto().new_digest_context())
{
    require_digest(context_ != nullptr ? 1 : 0);
    require_digest(crypto().begin_digest(context_.get(), crypto().sha256(), nullptr));
}

void Sha256::free_context(evp_md_ctx_st* context) noexcept
{
    crypto().free_digest_context(context);
}

void Sha256::update(ByteView bytes)
{
    require_digest(crypto().update_digest(context_.get(), bytes.data(), bytes.size()));
}

Sha256Digest Sha256::finish()
{
    Sha256Digest digest{};
    require_digest(crypto().end_digest(context_.get(), as_u8(MutableBytes(digest)), nullptr));
    return digest;
}

Sha256Digest sha256(ByteView bytes)
{
    Sha256 digest;
    digest.update(bytes);
    return digest.finish();
}

std::array<std::byte, 16> md5(ByteView bytes)
{
    std::array<std::byte, 16> digest{};
    if (!try_md5(bytes, digest)) {
        raise(ErrorCode::crypto, "the digest library refuses MD5");
    }
    return digest;
}

bool has_md5()
{
    std::array<std::byte, 16> digest{};
    return try_md5({}, digest);
}

Sha256Digest hmac_sha256(ByteView key, ByteView first, ByteView second, ByteView third)
{
    // RFC 2104 over the streaming digest: the pieces need not lie side by side.
    std::array<std::byte, 64> pad{};
    if (key.size() > pad.size()) {
        raise(ErrorCode::assertion, "an HMAC key of {} bytes", key.size());
    }
    std::memcpy(pad.data(), key.data(), key.size());
    for (std::byte& byte : pad) {
        byte ^= std::byte{0x36};
    }
    Sha256 inner;
    inner.update(pad);
    for (const ByteView piece : {first, second, third}) {
        inner.update(piece);
    }
    const Sha256Digest inside = inner.finish();
    for (std::byte& byte : pad) {
        byte ^= std::byte{0x36 ^ 0x5C};
    }
    Sha256 outer;
    outer.update(pad);
    outer.update(inside);
    return outer.finish();
}

Digest128 xxh3_128(ByteView bytes, std::uint64_t seed)
{
    return canonical_bytes(XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
}

struct Xxh3Stream::State {
    XXH3_state_t xxh;
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>())
{
    reset();
}

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::reset()
{
    XXH3_128bits_reset(&state_->xxh);
}

void Xxh3Stream::update(ByteView bytes)
{
    XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

Digest128 Xxh3Stream::finish() const
{
    return canonical_bytes(XXH3_128bits_digest(&state_->xxh));
}

std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t page_hash(ByteView page, const PageHashKey& key) noexcept
{
    return XXH3_64bits_withSecret(page.data(), page.size(), key.data(), key.size());
}

} // namespace pgstrata::codec
