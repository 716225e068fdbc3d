// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/handle.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

struct evp_md_ctx_st;

namespace pgstrata::codec {

using Sha256Digest = std::array<std::byte, 32>;
using Digest128 = std::array<std::byte, 16>;

class Sha256 {
public:
    Sha256();
    void update(ByteView bytes);
    Sha256Digest finish(); // once

private:
    static void free_context(evp_md_ctx_st* context) noexcept;
    Handle<evp_md_ctx_st, &Sha256::free_context> context_;
};

Sha256Digest sha256(ByteView bytes);
Sha256Digest hmac_sha256(ByteView key, ByteView first, ByteView second = {}, ByteView third = {});

// For stores that insist on it, never for safety. Throws Error(crypto) where the system's policy
// forbids it.
std::array<std::byte, 16> md5(ByteView bytes);
bool has_md5(); // whether that is allowed

// XXH3-128 with a seed, in the canonical (big-endian) byte order of xxHash.
Digest128 xxh3_128(ByteView bytes, std::uint64_t seed = 0);
std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed = 0);

// The same over bytes that come in pieces, with seed 0.
class Xxh3Stream : NonCopyable {
public:
    Xxh3Stream();
    ~Xxh3Stream();
    void reset();
    void update(ByteView bytes);
    Digest128 finish() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// The key of page hashes: 192 secret bytes for XXH3's secret.
using PageHashKey = std::array<std::byte, 192>;
// 64 bits of keyed XXH3 over one page.
std::uint64_t page_hash(ByteView page, const PageHashKey& key) noexcept;

} // namespace pgstrata::codec
