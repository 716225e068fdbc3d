// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/key.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::codec {

enum class CipherType : std::uint8_t { none = 0, aes_256_gcm = 1, aes_256_cbc = 2 };

std::string_view cipher_name(CipherType type) noexcept; // "aes-256-gcm"
std::optional<CipherType> parse_cipher(std::string_view name) noexcept;

using Nonce = std::array<std::byte, 12>;
using Tag = std::array<std::byte, 16>;

// Authenticated encryption of one run of bytes under one key. A nonce is used once for a key. One
// thread at a time. AES-256-GCM; or AES-256-CBC with HMAC-SHA-256 over nonce, associated data and
// ciphertext (encrypt-then-MAC, tag cut to 16 bytes; the IV is the first 16 bytes of
// HMAC-SHA-256(IV key, nonce)), whose three keys come from the given key by HKDF.
class Cipher {
public:
    virtual ~Cipher() = default;
    // Replaces the contents of `out`.
    virtual Tag seal(const Nonce& nonce, ByteView associated, ByteView plain, Buffer& out) = 0;
    // Throws Error(crypto) when the bytes are not what was sealed.
    virtual void
    open(const Nonce& nonce, ByteView associated, ByteView sealed, const Tag& tag, Buffer& out) = 0;
    // Throws what open() throws. Decrypts only where the tag cannot be had without.
    virtual void
    check(const Nonce& nonce, ByteView associated, ByteView sealed, const Tag& tag) = 0;
};

// `type` is not none.
std::unique_ptr<Cipher> make_cipher(CipherType type, const Key& key);

} // namespace pgstrata::codec
