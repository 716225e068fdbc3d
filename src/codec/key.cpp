// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/codec/key.hpp"

#include "codec/crypto_library.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/hex.hpp"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <set>

namespace pgstrata::codec {

namespace {

struct SymbolCounts {
    std::size_t upper = 0;
    std::size_t lower = 0;
    std::size_t digits = 0;
    std::size_t distinct = 0;
};

SymbolCounts count_symbols(std::string_view text)
{
    SymbolCounts counts;
    for (const char symbol : text) {
        counts.upper += symbol >= 'A' && symbol <= 'Z' ? 1 : 0;
        counts.lower += symbol >= 'a' && symbol <= 'z' ? 1 : 0;
        counts.digits += symbol >= '0' && symbol <= '9' ? 1 : 0;
    }
    counts.distinct = std::set<char>(text.begin(), text.end()).size();
    return counts;
}

// 64 or more hex digits of one case whose 16 symbols nearly all occur.
bool looks_like_random_hex(std::string_view text)
{
    const SymbolCounts counts = count_symbols(text);
    return text.size() >= 64 && is_hex(text) && (counts.upper == 0 || counts.lower == 0) &&
           counts.distinct >= 13 && counts.digits * 10 >= text.size() * 4;
}

// 32 or more bytes of base64. Random text has about 40 % capitals, 40 % small letters and 16 %
// digits, and hardly repeats itself; sentences and repeated words are far from that.
bool looks_like_random_base64(std::string_view text)
{
    const auto decoded = from_base64(text);
    if (!decoded || decoded->size() < 32) {
        return false;
    }
    const SymbolCounts counts = count_symbols(text);
    return counts.upper * 100 >= text.size() * 22 && counts.lower * 100 >= text.size() * 22 &&
           counts.digits * 100 >= text.size() * 4 &&
           counts.distinct >= std::min<std::size_t>(text.size() / 2, 40);
}

} // namespace

void wipe(MutableBytes bytes) noexcept
{
    if (!bytes.empty()) {
        ::explicit_bzero(bytes.data(), bytes.size());
    }
}

void fill_random(MutableBytes out)
{
    // The kernel's generator directly: no library to initialise before the first byte.
    while (!out.empty()) {
        const ssize_t count = ::getrandom(out.data(), std::min<std::size_t>(out.size(), 256), 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            raise_errno(ErrorCode::crypto, errno, "get random bytes");
        }
        out = out.subspan(static_cast<std::size_t>(count));
    }
}

void hkdf_sha256(ByteView key, ByteView salt, ByteView info, MutableBytes out)
{
    const std::array<std::byte, 32> no_salt{};
    Sha256Digest extracted = hmac_sha256(salt.empty() ? ByteView(no_salt) : salt, key);
    Sha256Digest block{};
    std::size_t block_size = 0;
    for (std::uint8_t number = 1; !out.empty(); ++number) {
        const auto counter = static_cast<std::byte>(number);
        block =
            hmac_sha256(extracted, ByteView(block).first(block_size), info, ByteView(&counter, 1));
        block_size = block.size();
        const std::size_t count = std::min(out.size(), block.size());
        std::memcpy(out.data(), block.data(), count);
        out = out.subspan(count);
    }
    wipe(extracted);
    wipe(block);
}

void scrypt(std::string_view passphrase, ByteView salt, const ScryptCost& cost, MutableBytes out)
{
    if (!std::has_single_bit(cost.n) || cost.n < (1U << 14U) || cost.n > (1U << 20U) ||
        cost.r < 1 || cost.r > 16 || cost.p < 1 || cost.p > 4) {
        raise(ErrorCode::format,
              "scrypt parameters n={} r={} p={} are out of bounds",
              cost.n,
              cost.r,
              cost.p);
    }
    constexpr std::uint64_t kMemoryLimit = std::uint64_t{4} << 30U;
    if (crypto().scrypt(passphrase.data(),
                        passphrase.size(),
                        as_u8(salt),
                        salt.size(),
                        cost.n,
                        cost.r,
                        cost.p,
                        kMemoryLimit,
                        as_u8(out),
                        out.size()) != 1) {
        raise(ErrorCode::crypto, "unable to derive a key from the passphrase");
    }
}

bool is_generated_secret(std::string_view passphrase)
{
    return looks_like_random_hex(passphrase) || looks_like_random_base64(passphrase);
}

} // namespace pgstrata::codec
