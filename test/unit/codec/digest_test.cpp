// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/hex.hpp"

#include <catch2/catch.hpp>
#include <openssl/evp.h>

using namespace pgstrata;
using namespace pgstrata::codec;

TEST_CASE("SHA-256 gives the values of FIPS 180-4", "[codec][digest]")
{
    CHECK(to_hex(sha256(as_bytes("abc"))) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("HMAC-SHA-256 gives the values of RFC 4231", "[codec][digest]")
{
    const std::vector<std::byte> key(20, std::byte{0x0b});
    CHECK(to_hex(hmac_sha256(key, as_bytes("Hi There"))) ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(to_hex(hmac_sha256(as_bytes("Jefe"),
                             as_bytes("what do ya "),
                             as_bytes("want "),
                             as_bytes("for nothing?"))) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_CASE("XXH3-128 of nothing is the value xxHash publishes", "[codec][digest]")
{
    CHECK(to_hex(xxh3_128({})) == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("a page hash depends on every byte and on the key", "[codec][digest]")
{
    PageHashKey key{};
    key.fill(std::byte{7});
    PageHashKey other = key;
    other[100] = std::byte{8};
    Buffer page(8192);
    std::memset(page.data(), 1, page.size());
    const std::uint64_t hash = page_hash(page, key);

    CHECK(page_hash(page, other) != hash);
    for (const std::size_t at : {std::size_t{0}, std::size_t{4095}, std::size_t{8191}}) {
        page.span()[at] = std::byte{2};
        CHECK(page_hash(page, key) != hash);
        page.span()[at] = std::byte{1};
    }
    CHECK(page_hash(page, key) == hash);
}

TEST_CASE("MD5 gives the digests of RFC 1321", "[codec][digest]")
{
    CHECK(to_hex(md5({})) == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(to_hex(md5(as_bytes("message digest"))) == "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST_CASE("where the system forbids MD5 that is told", "[codec][digest]")
{
    CHECK(has_md5());
    // As a host in FIPS mode is set up.
    REQUIRE(EVP_set_default_properties(nullptr, "fips=yes") == 1);
    const bool is_allowed = has_md5();
    CHECK_THROWS_MATCHES(md5({}), Error, test::HasCode(ErrorCode::crypto));
    REQUIRE(EVP_set_default_properties(nullptr, "") == 1);

    CHECK_FALSE(is_allowed);
    CHECK(has_md5());
}
