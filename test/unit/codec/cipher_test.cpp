// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/codec/cipher.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::codec;
using pgstrata::test::HasCode;

namespace {

Key make_key(int seed)
{
    Key key;
    for (std::byte& byte : key.span()) {
        byte = static_cast<std::byte>(seed++);
    }
    return key;
}

const Nonce kNonce = {std::byte{1}, std::byte{2}};

} // namespace

TEST_CASE("what is sealed opens again", "[codec][cipher]")
{
    const CipherType type = GENERATE(CipherType::aes_256_gcm, CipherType::aes_256_cbc);
    const std::size_t size =
        GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{100000});
    const auto cipher = make_cipher(type, make_key(1));
    const std::string plain(size, 'p');
    Buffer sealed;
    Buffer opened;

    const Tag tag = cipher->seal(kNonce, as_bytes("context"), as_bytes(plain), sealed);
    cipher->open(kNonce, as_bytes("context"), sealed, tag, opened);

    CHECK(as_text(opened) == plain);
    CHECK_NOTHROW(cipher->check(kNonce, as_bytes("context"), sealed, tag));
    CHECK((size < 16 || as_text(sealed).find("pppp") == std::string_view::npos));
}

TEST_CASE("nothing but exactly what was sealed opens", "[codec][cipher][bug-51]")
{
    const CipherType type = GENERATE(CipherType::aes_256_gcm, CipherType::aes_256_cbc);
    auto cipher = make_cipher(type, make_key(1));
    Buffer sealed;
    Tag tag =
        cipher->seal(kNonce, as_bytes("context"), as_bytes("sixteen bytes of plain text"), sealed);
    Nonce nonce = kNonce;
    std::string context = "context";

    SECTION("another key")
    {
        cipher = make_cipher(type, make_key(2));
    }
    SECTION("another nonce")
    {
        nonce[11] = std::byte{9};
    }
    SECTION("another context")
    {
        context = "contexT";
    }
    SECTION("a flipped bit in the bytes")
    {
        sealed.span()[3] ^= std::byte{1};
    }
    SECTION("a flipped bit in the tag")
    {
        tag[15] ^= std::byte{128};
    }
    SECTION("fewer bytes")
    {
        sealed.resize(sealed.size() - 1);
    }

    Buffer opened;
    CHECK_THROWS_MATCHES(cipher->open(nonce, as_bytes(context), sealed, tag, opened),
                         Error,
                         HasCode(ErrorCode::crypto));
    CHECK_THROWS_MATCHES(
        cipher->check(nonce, as_bytes(context), sealed, tag), Error, HasCode(ErrorCode::crypto));
}

TEST_CASE("AES-256-GCM gives the value of the NIST test case 14", "[codec][cipher]")
{
    // Zero key, zero nonce, one block of zeros: ciphertext cea7403d4d606b6e074ec5d3baf39d18.
    const auto cipher = make_cipher(CipherType::aes_256_gcm, Key());
    const std::array<std::byte, 16> zeros{};
    Buffer sealed;
    const Tag tag = cipher->seal(Nonce{}, {}, zeros, sealed);
    CHECK(std::to_integer<int>(sealed.view()[0]) == 0xCE);
    CHECK(std::to_integer<int>(sealed.view()[15]) == 0x18);
    CHECK(std::to_integer<int>(tag[0]) == 0xD0);
    CHECK(std::to_integer<int>(tag[15]) == 0x19);
}
