// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/hex.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;

namespace {

std::string decoded(std::string_view text)
{
    const auto bytes = from_base64(text);
    return bytes ? std::string(as_text(*bytes)) : "(none)";
}

} // namespace

TEST_CASE("bytes become lower-case hex and come back", "[util][hex]")
{
    std::array<std::byte, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i] = static_cast<std::byte>(i);
    }
    const std::string text = to_hex(all);
    CHECK(text.size() == 512);
    CHECK(text.substr(0, 8) == "00010203");
    CHECK(text.substr(504) == "fcfdfeff");

    std::array<std::byte, 256> back{};
    REQUIRE(from_hex(text, back));
    CHECK(back == all);
}

TEST_CASE("hex of either case is read, and nothing else", "[util][hex]")
{
    const auto [text, valid] = GENERATE(table<std::string, bool>({
        {"00ff", true},
        {"00FF", true},
        {"aBcD", true},
        {"00f", false},
        {"00ff0", false},
        {"00fg", false},
        {"0x0f", false},
        {"+1-1", false},
        {" 0ff", false},
        {"", false},
    }));
    std::array<std::byte, 2> out{};
    CAPTURE(text);
    CHECK(from_hex(text, out) == valid);
}

TEST_CASE("hex digits are told from other text", "[util][hex]")
{
    CHECK(is_hex("0123456789abcdefABCDEF"));
    CHECK_FALSE(is_hex(""));
    CHECK_FALSE(is_hex("12 4"));
    CHECK_FALSE(is_hex("g"));
    CHECK(is_upper_hex("0123456789ABCDEF"));
    CHECK_FALSE(is_upper_hex("a"));
    CHECK_FALSE(is_upper_hex(""));
    CHECK_FALSE(is_upper_hex("G"));
}

TEST_CASE("base64 is decoded as RFC 4648 has it", "[util][hex]")
{
    const auto [text, plain] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"Zg", "f"},
        {"Zm8", "fo"},
        {"+/+/", "\xfb\xff\xbf"},
    }));
    CAPTURE(text);
    CHECK(decoded(text) == plain);
}

TEST_CASE("base64 is encoded as RFC 4648 has it", "[util][hex]")
{
    const auto& [plain, encoded] =
        GENERATE(table<std::string, std::string>({{"", ""},
                                                  {"f", "Zg=="},
                                                  {"fo", "Zm8="},
                                                  {"foo", "Zm9v"},
                                                  {"foob", "Zm9vYg=="},
                                                  {"fooba", "Zm9vYmE="},
                                                  {"\xff\xfe\xfb", "//77"},
                                                  {"\xfb\xef", "++8="}}));

    CHECK(to_base64(as_bytes(plain)) == encoded);
}

TEST_CASE("what is not base64 is refused", "[util][hex]")
{
    const std::string text =
        GENERATE("Z", "Zm9vY", "Zm9v Zm8", "Zm9-", "Zm=v", "Zm9v\n", "\xff\xff");
    CAPTURE(text);
    CHECK(decoded(text) == "(none)");
}
