// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/codec/key.hpp"
#include "pgstrata/util/hex.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::codec;
using pgstrata::test::HasCode;

TEST_CASE("HKDF gives the values of RFC 5869", "[codec][key]")
{
    const std::vector<std::byte> key(22, std::byte{0x0b});
    std::vector<std::byte> salt(13);
    std::vector<std::byte> info(10);
    std::vector<std::byte> out(42);
    REQUIRE(from_hex("000102030405060708090a0b0c", salt));
    REQUIRE(from_hex("f0f1f2f3f4f5f6f7f8f9", info));

    hkdf_sha256(key, salt, info, out);
    CHECK(to_hex(out) ==
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

    hkdf_sha256(key, {}, {}, out);
    CHECK(to_hex(out) ==
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("scrypt gives the third value of RFC 7914", "[codec][key][bug-56]")
{
    std::vector<std::byte> out(64);
    scrypt("pleaseletmein", as_bytes("SodiumChloride"), {16384, 8, 1}, out);
    CHECK(to_hex(out) == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                         "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

TEST_CASE("scrypt costs out of bounds are refused before any work", "[codec][key]")
{
    const auto cost = GENERATE(ScryptCost{1024, 8, 1},
                               ScryptCost{16385, 8, 1},
                               ScryptCost{std::uint64_t{1} << 40U, 8, 1},
                               ScryptCost{16384, 0, 1},
                               ScryptCost{16384, 64, 1},
                               ScryptCost{16384, 8, 100});
    std::vector<std::byte> out(32);
    CHECK_THROWS_MATCHES(
        scrypt("x", as_bytes("salt"), cost, out), Error, HasCode(ErrorCode::format));
}

TEST_CASE("generated secrets are told from what people make up", "[codec][key]")
{
    const auto [text, generated] = GENERATE(table<std::string, bool>({
        {"zWaf6XtpjIVZC5444yXB+cgFDFl7MxGlgkZSaoPvTGirhPygu4jOKOXf9LO4vjfO",
         true},                                                 // 48 bytes, base64
        {"K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", true}, // 32 bytes, base64
        {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", true}, // 32 bytes, hex
        {"", false},
        {"secret", false},
        {"correct horse battery staple correct horse battery staple", false},
        {"CorrectHorseBatteryStapleCorrectHorseBatteryStaple1234", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"0123456789012345678901234567890123456789012345678901234567890123", false},
        {"K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72", false}, // 24 bytes only
    }));
    CAPTURE(text);
    CHECK(is_generated_secret(text) == generated);
}

TEST_CASE("a secret text is copied, moved and replaced like a value", "[codec][key]")
{
    SecretText first("one");
    SecretText second = first;
    first = SecretText("two");
    const SecretText third = std::move(second);

    CHECK(first.view() == "two");
    CHECK(third.view() == "one");
    CHECK(SecretText().empty());
    CHECK_FALSE(third.empty());
}
