// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/keys.hpp"

#include "pgstrata/codec/cipher.hpp"
#include "pgstrata/codec/digest.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/hex.hpp"

#include <nlohmann/json.hpp>

namespace pgstrata::repository {

namespace {

constexpr std::size_t kSaltSize = 32;
constexpr std::size_t kKeySize = 32;
constexpr std::string_view kInfo = "pgstrata key slot 1";

codec::Key derive_wrapping_key(const KeySlot& slot, std::string_view passphrase)
{
    codec::Key key;
    if (slot.derivation == Derivation::scrypt) {
        codec::scrypt(passphrase, slot.salt, slot.cost, key.span());
    } else {
        codec::hkdf_sha256(
            codec::sha256(as_bytes(passphrase)), slot.salt, as_bytes(kInfo), key.span());
    }
    return key;
}

// Binds the wrapped key to the repository and to the slot's own parameters.
std::string associated_data(const KeySlot& slot, std::string_view repository_id)
{
    return fmt::format("{} {} {}", kInfo, repository_id, slot.id);
}

std::vector<std::byte> bytes_member(const nlohmann::json& document,
                                    const char* member,
                                    std::size_t size,
                                    const std::string& path)
{
    std::vector<std::byte> bytes(size);
    if (!from_hex(document_text(document, member, path), bytes)) {
        raise(ErrorCode::format, "'{}' in the repository has an invalid '{}'", path, member);
    }
    return bytes;
}

} // namespace

KeySlot make_key_slot(std::string_view passphrase,
                      const codec::Key& data_key,
                      std::string_view repository_id)
{
    KeySlot slot;
    std::vector<std::byte> id(8);
    codec::fill_random(id);
    slot.id = to_hex(id);
    slot.derivation =
        codec::is_generated_secret(passphrase) ? Derivation::hkdf : Derivation::scrypt;
    slot.salt.resize(kSaltSize);
    codec::fill_random(slot.salt);
    // The wrapping key is used once, so the nonce may be zero.
    const auto cipher =
        codec::make_cipher(codec::CipherType::aes_256_gcm, derive_wrapping_key(slot, passphrase));
    Buffer wrapped;
    const codec::Tag tag = cipher->seal(
        codec::Nonce{}, as_bytes(associated_data(slot, repository_id)), data_key.view(), wrapped);
    slot.wrapped.assign(wrapped.data(), wrapped.data() + wrapped.size());
    slot.tag.assign(tag.begin(), tag.end());
    return slot;
}

std::optional<codec::Key>
open_key_slot(const KeySlot& slot, std::string_view passphrase, std::string_view repository_id)
{
    const auto cipher =
        codec::make_cipher(codec::CipherType::aes_256_gcm, derive_wrapping_key(slot, passphrase));
    codec::Tag tag{};
    std::memcpy(tag.data(), slot.tag.data(), tag.size());
    Buffer opened;
    try {
        cipher->open(codec::Nonce{},
                     as_bytes(associated_data(slot, repository_id)),
                     slot.wrapped,
                     tag,
                     opened);
    } catch (const Error&) {
        return std::nullopt; // another passphrase: the next slot may be the one
    }
    codec::Key key;
    std::memcpy(key.span().data(), opened.data(), opened.size());
    codec::wipe(opened.span());
    return key;
}

std::string encode_key_slot(const KeySlot& slot)
{
    nlohmann::json document = {
        {"format", 1},
        {"id", slot.id},
        {"derivation", slot.derivation == Derivation::scrypt ? "scrypt" : "hkdf-sha256"},
        {"salt", to_hex(slot.salt)},
        {"wrapped", to_hex(slot.wrapped)},
        {"tag", to_hex(slot.tag)},
    };
    if (slot.derivation == Derivation::scrypt) {
        document["n"] = slot.cost.n;
        document["r"] = slot.cost.r;
        document["p"] = slot.cost.p;
    }
    return seal_document(std::move(document));
}

KeySlot decode_key_slot(std::string_view text, const std::string& path)
{
    const nlohmann::json document = open_document(text, path);
    if (document_number(document, "format", path) != 1) {
        raise(ErrorCode::version_not_supported, "'{}' in the repository has a newer format", path);
    }
    KeySlot slot;
    slot.id = document_text(document, "id", path);
    const std::string derivation = document_text(document, "derivation", path);
    if (derivation != "scrypt" && derivation != "hkdf-sha256") {
        raise(ErrorCode::format, "'{}' in the repository has an unknown derivation", path);
    }
    slot.derivation = derivation == "scrypt" ? Derivation::scrypt : Derivation::hkdf;
    if (slot.derivation == Derivation::scrypt) {
        slot.cost.n = document_number(document, "n", path);
        slot.cost.r = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(document_number(document, "r", path), 1000));
        slot.cost.p = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(document_number(document, "p", path), 1000));
    }
    slot.salt = bytes_member(document, "salt", kSaltSize, path);
    slot.wrapped = bytes_member(document, "wrapped", kKeySize, path);
    slot.tag = bytes_member(document, "tag", codec::Tag{}.size(), path);
    return slot;
}

} // namespace pgstrata::repository
