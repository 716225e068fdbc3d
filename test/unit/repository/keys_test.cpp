// SPDX-License-Identifier: PostgreSQL
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/util/hex.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

const std::string kRepositoryId = "00112233445566778899aabbccddeeff";

codec::Key sample_key()
{
    codec::Key key;
    for (std::size_t i = 0; i < key.span().size(); ++i) {
        key.span()[i] = static_cast<std::byte>(i * 7 + 1);
    }
    return key;
}

bool is_sample(const std::optional<codec::Key>& key)
{
    const codec::Key expected = sample_key();
    return key && std::ranges::equal(key->view(), expected.view());
}

// The slot's document with one member changed and a right checksum.
std::string with_member(const KeySlot& slot, const char* member, const nlohmann::json& value)
{
    nlohmann::json document = open_document(encode_key_slot(slot), "x");
    document[member] = value;
    return seal_document(document);
}

} // namespace

TEST_CASE("a passphrase of a person goes through scrypt, a generated secret does not",
          "[repository][keys][bug-56]")
{
    const auto [passphrase, derivation] = GENERATE(table<std::string, Derivation>({
        {"correct horse battery staple", Derivation::scrypt},
        {"x", Derivation::scrypt},
        {kGeneratedPassphrase, Derivation::hkdf},
    }));
    const KeySlot slot = make_key_slot(passphrase, sample_key(), kRepositoryId);
    CHECK(slot.derivation == derivation);

    const KeySlot back = decode_key_slot(encode_key_slot(slot), "keys/x.json");

    CHECK(back.derivation == derivation);
    CHECK(back.id == slot.id);
    CHECK(is_sample(open_key_slot(back, passphrase, kRepositoryId)));
}

TEST_CASE("another passphrase does not open a slot", "[repository][keys][bug-56]")
{
    const auto [right, wrong] = GENERATE(table<std::string, std::string>({
        {"a passphrase", "a passphrasf"},
        {"a passphrase", ""},
        {kGeneratedPassphrase, std::string(kGeneratedPassphrase) + "="},
    }));
    const KeySlot slot = make_key_slot(right, sample_key(), kRepositoryId);
    CHECK_FALSE(open_key_slot(slot, wrong, kRepositoryId));
}

TEST_CASE("a slot moved to another repository or another name does not open",
          "[repository][keys][bug-51][bug-56]")
{
    KeySlot slot = make_key_slot(kGeneratedPassphrase, sample_key(), kRepositoryId);
    CHECK_FALSE(open_key_slot(slot, kGeneratedPassphrase, "ff112233445566778899aabbccddeeff"));
    slot.id = "0123456789abcdef";
    CHECK_FALSE(open_key_slot(slot, kGeneratedPassphrase, kRepositoryId));
}

TEST_CASE("a changed slot does not give a key", "[repository][keys][bug-51]")
{
    const KeySlot good = make_key_slot(kGeneratedPassphrase, sample_key(), kRepositoryId);
    for (auto member : {&KeySlot::salt, &KeySlot::wrapped, &KeySlot::tag}) {
        for (std::size_t at = 0; at < (good.*member).size(); ++at) {
            KeySlot slot = good;
            (slot.*member)[at] ^= std::byte{0x80};
            CHECK_FALSE(open_key_slot(slot, kGeneratedPassphrase, kRepositoryId));
        }
    }
}

TEST_CASE("two slots of one passphrase have nothing in common but the data key",
          "[repository][keys][bug-56]")
{
    const KeySlot first = make_key_slot(kGeneratedPassphrase, sample_key(), kRepositoryId);
    const KeySlot second = make_key_slot(kGeneratedPassphrase, sample_key(), kRepositoryId);
    CHECK(first.id != second.id);
    CHECK(first.salt != second.salt);
    CHECK(first.wrapped != second.wrapped);
    CHECK(is_sample(open_key_slot(second, kGeneratedPassphrase, kRepositoryId)));
}

TEST_CASE("a slot says nothing of passphrase and key", "[repository][keys][bug-53]")
{
    const std::string text =
        encode_key_slot(make_key_slot("canary-passphrase", sample_key(), kRepositoryId));
    CHECK(text.find("canary") == std::string::npos);
    CHECK(text.find(to_hex(sample_key().view())) == std::string::npos);
}

TEST_CASE("a damaged slot is refused by name", "[repository][keys][bug-47]")
{
    const KeySlot slot = make_key_slot("a passphrase", sample_key(), kRepositoryId);
    const auto [member, value, code] = GENERATE(table<const char*, nlohmann::json, ErrorCode>({
        {"format", 2, ErrorCode::version_not_supported},
        {"format", "1", ErrorCode::format},
        {"derivation", "md5", ErrorCode::format},
        {"salt", "00", ErrorCode::format},
        {"salt", std::string(64, 'x'), ErrorCode::format},
        {"wrapped", std::string(62, '0'), ErrorCode::format},
        {"wrapped", std::string(66, '0'), ErrorCode::format},
        {"tag", std::string(30, '0'), ErrorCode::format},
        {"tag", 7, ErrorCode::format},
        {"n", "many", ErrorCode::format},
        {"r", -1, ErrorCode::format},
    }));
    CAPTURE(member);
    CHECK_THROWS_MATCHES(
        decode_key_slot(with_member(slot, member, value), "keys/x.json"), Error, HasCode(code));

    std::string text = encode_key_slot(slot);
    text[text.find("\"salt\"") + 10] ^= 1;
    CHECK_THROWS_MATCHES(decode_key_slot(text, "keys/x.json"), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("a slot cannot make us work without end", "[repository][keys][bug-54]")
{
    const KeySlot slot = make_key_slot("a passphrase", sample_key(), kRepositoryId);
    const auto [member, value] = GENERATE(table<const char*, std::uint64_t>({
        {"n", 1U << 21U},
        {"n", 1U << 13U},
        {"n", 32769},
        {"n", 0},
        {"r", 17},
        {"r", 0},
        {"r", 1ULL << 32U},
        {"p", 5},
        {"p", (1ULL << 32U) + 1},
    }));
    const KeySlot hostile = decode_key_slot(with_member(slot, member, value), "keys/x.json");
    CHECK_THROWS_MATCHES(
        open_key_slot(hostile, "a passphrase", kRepositoryId), Error, HasCode(ErrorCode::format));
}
