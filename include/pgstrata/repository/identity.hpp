// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/cipher.hpp"
#include "pgstrata/repository/twin.hpp"

#include <optional>
#include <string>
#include <vector>

// What comes before everything else in a repository: its identity and its key slots. Both are kept
// twice (twin.hpp).
namespace pgstrata::repository {

struct Identity {
    std::string id; // 32 hex digits
    codec::CipherType cipher = codec::CipherType::none;
    bool has_copies = true; // false in repositories of versions that made none
};

// nullopt when there is no repository. Throws Error(version_not_supported) for a newer format,
// which is looked at before everything else but the checksum; where neither the document nor its
// copy is sound, also when one of them says that it has one.
std::optional<Identity> read_identity(const storage::Storage& storage);
// Without the copy; false when another host was faster.
bool write_identity(storage::Storage& storage, const Identity& identity);
// Whether there is an identity or a copy of one, sound or not.
bool has_identity(const storage::Storage& storage);

// The paths of the key slots in kKeysDirectory, or of those that there are copies of.
std::vector<std::string> list_key_slots(const storage::Storage& storage);
std::vector<std::string> list_copied_key_slots(const storage::Storage& storage);

// Mends identity and slots by mend_twin(); copies that are not there are made, that of the identity
// last.
void mend_documents(storage::Storage& storage);
// The same when the copy of the identity is missing, which costs one look when it is not.
void make_missing_copies(storage::Storage& storage);
// What is wrong with identity and slots, as inspect_twin(). That copies are missing is no fault
// where there is none and the identity does not say that there are.
std::vector<TwinFault> inspect_documents(const storage::Storage& storage,
                                         const ErrorJudge& is_of_object);

} // namespace pgstrata::repository
