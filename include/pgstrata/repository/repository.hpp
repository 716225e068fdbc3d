// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/codec/object.hpp"
#include "pgstrata/storage/storage.hpp"
#include "pgstrata/util/once.hpp"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgstrata::repository {

struct Identity;

// What the configuration says of the cipher.
struct CipherSetting {
    codec::CipherType type = codec::CipherType::none;
    std::string passphrase; // unused without a cipher
};

// An opened repository: where its bytes are and how they are sealed. All functions may be called
// from any thread.
class Repository : NonCopyable {
public:
    // `storage` must outlive the repository. Throws Error(file_missing) with a hint when there is
    // none, Error(crypto) for a wrong passphrase or another cipher than configured,
    // Error(version_not_supported) for a newer format. What is lost of the identity and the keys is
    // read from its copy, with a WARN.
    static std::unique_ptr<Repository> open(storage::Storage& storage,
                                            const CipherSetting& setting);
    // Opens the repository that is there or makes a new one, with a new data key when it has a
    // cipher. Of several hosts that do so at once, one makes it and the others open it. Mends
    // identity and key slots and their copies (identity.hpp). Throws Error(path_not_empty) where
    // archive or backup hold something that no identity belongs to.
    static std::unique_ptr<Repository> open_or_create(storage::Storage& storage,
                                                      const CipherSetting& setting);

    storage::Storage& storage() const noexcept { return storage_; }
    const std::string& id() const noexcept { return id_; }
    const codec::ObjectCipher& cipher() const noexcept { return cipher_; }
    // The key of the hashes in page maps; from the data key, or from the repository's id without a
    // cipher. Made by the first call: a push of WAL does not need it.
    const codec::PageHashKey& page_hash_key() const;

    // A JSON document: sealed with the cipher, or plain with a checksum.
    void write_document(std::string_view path,
                        const nlohmann::json& document,
                        storage::WriteMode mode = storage::WriteMode::once) const;
    // Throws Error(file_missing), Error(checksum), Error(crypto).
    nlohmann::json read_document(std::string_view path) const;
    // The same of what was read at that path, or is a copy of it.
    nlohmann::json open_document(ByteView stored, std::string_view path) const;

private:
    Repository(storage::Storage& storage, std::string id, codec::ObjectCipher cipher);
    static std::unique_ptr<Repository> open_as(storage::Storage& storage,
                                               const std::optional<Identity>& identity,
                                               const CipherSetting& setting);

    storage::Storage& storage_;
    std::string id_;
    codec::ObjectCipher cipher_;
    mutable Once page_hash_key_made_;
    mutable codec::PageHashKey page_hash_key_{};
};

} // namespace pgstrata::repository
