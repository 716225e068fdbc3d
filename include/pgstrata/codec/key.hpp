// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace pgstrata::codec {

// A secret of fixed size, wiped when it goes.
template <std::size_t Size>
class Secret {
public:
    Secret() { bytes_.fill(std::byte{0}); }
    Secret(const Secret&) = default;
    Secret& operator=(const Secret&) = default;
    ~Secret();
    MutableBytes span() noexcept { return bytes_; }
    ByteView view() const noexcept { return bytes_; }

private:
    std::array<std::byte, Size> bytes_;
};

void wipe(MutableBytes bytes) noexcept;

template <std::size_t Size>
Secret<Size>::~Secret()
{
    wipe(bytes_);
}

using Key = Secret<32>;

// A secret of any length, wiped when it goes or is replaced.
class SecretText {
public:
    SecretText() = default;
    explicit SecretText(std::string_view text) : bytes_(text.begin(), text.end()) {}
    SecretText(const SecretText&) = default;
    SecretText(SecretText&&) noexcept = default;
    SecretText& operator=(SecretText other) noexcept
    {
        bytes_.swap(other.bytes_);
        return *this;
    }
    ~SecretText() { wipe(std::as_writable_bytes(std::span(bytes_))); }

    std::string_view view() const noexcept { return {bytes_.data(), bytes_.size()}; }
    bool empty() const noexcept { return bytes_.empty(); }

private:
    std::vector<char> bytes_;
};

// Cryptographically strong random bytes. Throws Error(crypto).
void fill_random(MutableBytes out);

// RFC 5869 with SHA-256.
void hkdf_sha256(ByteView key, ByteView salt, ByteView info, MutableBytes out);

// RFC 7914. Bounds (from a repository these are outside bytes): n a power of two in 2^14..2^20,
// r 1..16, p 1..4; others throw Error(format).
struct ScryptCost {
    std::uint64_t n = 1U << 15U;
    std::uint32_t r = 8;
    std::uint32_t p = 1;
};
void scrypt(std::string_view passphrase, ByteView salt, const ScryptCost& cost, MutableBytes out);

// Whether a passphrase is a generated secret of at least 32 random bytes in base64 or hex, for
// which a slow derivation adds nothing. When in doubt it is a person's.
bool is_generated_secret(std::string_view passphrase);

} // namespace pgstrata::codec
