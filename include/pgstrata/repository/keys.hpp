// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/key.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::repository {

enum class Derivation : std::uint8_t { hkdf, scrypt };

// The data key of a repository, wrapped by one passphrase; keys/<id>.json, kept twice (twin.hpp).
// Several may stand, so a passphrase is changed by adding a slot and removing another, and no data
// is touched.
struct KeySlot {
    std::string id; // 16 hex digits
    Derivation derivation = Derivation::scrypt;
    codec::ScryptCost cost;         // scrypt only
    std::vector<std::byte> salt;    // 32 bytes
    std::vector<std::byte> wrapped; // 32 bytes, AES-256-GCM
    std::vector<std::byte> tag;     // 16 bytes
};

// Derives by scrypt, or by HKDF alone for a generated secret. The slot is bound to the repository's
// id.
KeySlot make_key_slot(std::string_view passphrase,
                      const codec::Key& data_key,
                      std::string_view repository_id);
// nullopt when the passphrase is not the one of this slot.
std::optional<codec::Key>
open_key_slot(const KeySlot& slot, std::string_view passphrase, std::string_view repository_id);

// JSON with a checksum. decode throws Error(format) or Error(checksum).
std::string encode_key_slot(const KeySlot& slot);
KeySlot decode_key_slot(std::string_view text, const std::string& path);

} // namespace pgstrata::repository
