// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/repository.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/hex.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace pgstrata::repository {

namespace {

constexpr std::size_t kDocumentLimit = 16U << 20U;

struct Identity {
    std::string id;
    codec::CipherType cipher = codec::CipherType::none;
};

[[noreturn]] void raise_newer(std::uint64_t format)
{
    throw Error(ErrorCode::version_not_supported,
                fmt::format("the repository has format {}, this program knows {}",
                            format,
                            kRepositoryFormat),
                "use the version of pgstrata that wrote it, or a newer one");
}

// nullopt when there is no repository.
std::optional<Identity> read_identity(const storage::Storage& storage)
{
    const std::string path(kRepositoryFile);
    if (!storage.info(path)) {
        return std::nullopt;
    }
    const Buffer text = storage::read_file(storage, path, kDocumentLimit);
    // The format comes first: a newer one may have another idea of everything else.
    const nlohmann::json unchecked = nlohmann::json::parse(as_text(text), nullptr, false);
    if (unchecked.is_object() && unchecked.contains("format") &&
        unchecked["format"].is_number_unsigned() && unchecked["format"] > kRepositoryFormat) {
        raise_newer(unchecked["format"]);
    }
    const nlohmann::json document = open_document(as_text(text), path);
    const auto cipher = codec::parse_cipher(document_text(document, "cipher", path));
    if (!cipher) {
        raise(ErrorCode::format, "'{}' in the repository names an unknown cipher", path);
    }
    return Identity{document_text(document, "id", path), *cipher};
}

void check_cipher(const Identity& identity, const CipherSetting& setting)
{
    if (identity.cipher != setting.type) {
        throw Error(
            ErrorCode::crypto,
            fmt::format("the repository has cipher '{}' but the configuration says '{}'",
                        codec::cipher_name(identity.cipher),
                        codec::cipher_name(setting.type)),
            "set repo-cipher-type to what the repository was created with; it cannot change");
    }
}

std::vector<std::string> list_keys(const storage::Storage& storage)
{
    std::vector<std::string> names;
    storage.list(kKeysDirectory, [&](const storage::EntryInfo& entry) {
        if (entry.type == storage::EntryType::file && entry.name.ends_with(".json")) {
            names.push_back(entry.name.substr(0, entry.name.size() - 5));
        }
    });
    return names;
}

// A new identity among old objects would make them unreadable for ever.
void check_unused(const storage::Storage& storage)
{
    for (const std::string_view directory : {kArchiveDirectory, kBackupDirectory}) {
        bool is_used = false;
        storage.list(directory, [&](const storage::EntryInfo&) { is_used = true; });
        if (is_used) {
            throw Error(ErrorCode::path_not_empty,
                        fmt::format("'{}' has no '{}' but something in '{}'",
                                    storage.location(),
                                    kRepositoryFile,
                                    directory),
                        fmt::format("another program's repository? then choose an empty repo-path; "
                                    "or was '{}' lost? then bring it back from a copy",
                                    kRepositoryFile));
        }
    }
}

// False when another host was faster.
bool write_identity(storage::Storage& storage, const std::string& id, codec::CipherType cipher)
{
    const nlohmann::json document = {
        {"format", kRepositoryFormat},
        {"id", id},
        {"cipher", codec::cipher_name(cipher)},
    };
    try {
        storage::write_file(storage, kRepositoryFile, as_bytes(seal_document(document)));
    } catch (const Error& error) {
        if (error.code() == ErrorCode::file_exists) {
            return false;
        }
        throw;
    }
    return true;
}

codec::Key
unlock(const storage::Storage& storage, const Identity& identity, const CipherSetting& setting)
{
    const std::vector<std::string> names = list_keys(storage);
    if (names.empty()) {
        raise(ErrorCode::file_missing, "the repository has no key in '{}'", kKeysDirectory);
    }
    std::optional<Error> damage;
    for (const std::string& name : names) {
        try {
            const std::string path = key_path(name);
            const Buffer text = storage::read_file(storage, path, kDocumentLimit);
            const auto key = open_key_slot(
                decode_key_slot(as_text(text), path), setting.passphrase, identity.id);
            if (key) {
                return *key;
            }
        } catch (const Error& error) {
            damage = error; // another slot may do
        }
    }
    if (damage) {
        throw Error(*damage);
    }
    throw Error(
        ErrorCode::crypto,
        "the passphrase opens none of the repository's keys",
        "is repo-cipher-pass (or its -file or -command) the one the repository was created with?");
}

} // namespace

Repository::Repository(storage::Storage& storage, std::string id, codec::ObjectCipher cipher)
    : storage_(storage), id_(std::move(id)), cipher_(std::move(cipher))
{
    const bool is_sealed = cipher_.type != codec::CipherType::none;
    codec::hkdf_sha256(is_sealed ? cipher_.key.view() : as_bytes(id_),
                       {},
                       as_bytes("pgstrata page hash"),
                       page_hash_key_);
}

std::unique_ptr<Repository> Repository::open(storage::Storage& storage,
                                             const CipherSetting& setting)
{
    const auto identity = read_identity(storage);
    if (!identity) {
        throw Error(ErrorCode::file_missing,
                    fmt::format("there is no repository in '{}'", storage.location()),
                    "has stanza-create been run, and is repo-path right?");
    }
    check_cipher(*identity, setting);
    codec::ObjectCipher cipher{setting.type, {}};
    if (setting.type != codec::CipherType::none) {
        cipher.key = unlock(storage, *identity, setting);
    }
    return std::unique_ptr<Repository>(new Repository(storage, identity->id, cipher));
}

std::unique_ptr<Repository> Repository::open_or_create(storage::Storage& storage,
                                                       const CipherSetting& setting)
{
    if (read_identity(storage)) {
        return open(storage, setting);
    }
    check_unused(storage);
    // What a run that was killed here has left. A slot is bound to the repository's id, so none of
    // these can be one of the repository that is made now.
    const std::vector<std::string> left_behind = list_keys(storage);
    std::array<std::byte, 16> id_bytes{};
    codec::fill_random(id_bytes);
    const std::string id = to_hex(id_bytes);
    std::string own_key;
    if (setting.type != codec::CipherType::none) {
        codec::Key data_key;
        codec::fill_random(data_key.span());
        const KeySlot slot = make_key_slot(setting.passphrase, data_key, id);
        own_key = key_path(slot.id);
        storage::write_file(storage, own_key, as_bytes(encode_key_slot(slot)));
    }
    if (write_identity(storage, id, setting.type)) {
        // Only now, and only what was there before: until the identity stands, another host may be
        // making the repository, and its key is not ours to remove.
        for (const std::string& name : left_behind) {
            storage.remove(key_path(name));
        }
    } else if (!own_key.empty()) {
        storage.remove(own_key);
    }
    return open(storage, setting);
}

void Repository::write_document(std::string_view path,
                                const nlohmann::json& document,
                                storage::WriteMode mode) const
{
    if (cipher_.type == codec::CipherType::none) {
        storage::write_file(storage_, path, as_bytes(seal_document(document)), mode);
        return;
    }
    const std::string text =
        document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    Buffer sealed;
    BufferSink sink(sealed);
    codec::write_object(
        sink, {codec::ObjectKind::document, std::string(path)}, cipher_, as_bytes(text), nullptr);
    storage::write_file(storage_, path, sealed, mode);
}

nlohmann::json Repository::read_document(std::string_view path) const
{
    const std::string name(path);
    const Buffer stored = storage::read_file(storage_, path, kDocumentLimit);
    if (cipher_.type == codec::CipherType::none) {
        return open_document(as_text(stored), name);
    }
    const MemorySource source(stored);
    const Buffer text =
        codec::read_object(source, {codec::ObjectKind::document, name}, cipher_, kDocumentLimit);
    nlohmann::json document = nlohmann::json::parse(as_text(text), nullptr, false);
    if (!document.is_object()) {
        raise(ErrorCode::format, "'{}' in the repository is no JSON object", name);
    }
    return document;
}

} // namespace pgstrata::repository
