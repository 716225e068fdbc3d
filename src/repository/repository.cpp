// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/repository.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/hex.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace pgstrata::repository {

namespace {

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

// What keeps a repository without identity from being taken for an empty one: objects that another
// program, or ourselves, have stored there.
std::optional<Error> find_strangers(const storage::Storage& storage, ErrorCode code)
{
    for (const std::string_view directory : {kArchiveDirectory, kBackupDirectory}) {
        bool is_used = false;
        storage.list(directory, [&](const storage::EntryInfo&) { is_used = true; });
        if (is_used) {
            return Error(
                code,
                fmt::format("'{}' has no '{}' but something in '{}'",
                            storage.location(),
                            kRepositoryFile,
                            directory),
                fmt::format("another program's repository? then choose an empty repo-path; "
                            "or was '{0}' lost, and '{1}', too? then bring '{0}' back from a "
                            "copy of the repository",
                            kRepositoryFile,
                            copy_path(kRepositoryFile)));
        }
    }
    return std::nullopt;
}

// A new identity among old objects would make them unreadable for ever.
void check_unused(const storage::Storage& storage)
{
    if (const auto strangers = find_strangers(storage, ErrorCode::path_not_empty)) {
        throw Error(*strangers);
    }
}

[[noreturn]] void raise_no_identity(const storage::Storage& storage)
{
    if (const auto strangers = find_strangers(storage, ErrorCode::file_missing)) {
        throw Error(*strangers);
    }
    throw Error(ErrorCode::file_missing,
                fmt::format("there is no repository in '{}'", storage.location()),
                "has stanza-create been run, and is repo-path right?");
}

// The key from the first of the slots that the passphrase opens. One that cannot be read is left in
// `failure`, since another may do.
std::optional<codec::Key> try_slots(const storage::Storage& storage,
                                    const std::vector<std::string>& paths,
                                    const Identity& identity,
                                    std::string_view passphrase,
                                    std::optional<Error>& failure)
{
    for (const std::string& path : paths) {
        try {
            std::optional<KeySlot> slot;
            read_twin(storage, path, [&](std::string_view text, const std::string& where) {
                slot = decode_key_slot(text, where);
            });
            auto key = slot ? open_key_slot(*slot, passphrase, identity.id) : std::nullopt;
            if (key) {
                return key;
            }
        } catch (const Error& error) {
            failure = error;
        }
    }
    return std::nullopt;
}

[[noreturn]] void raise_locked(const storage::Storage& storage)
{
    std::string hint =
        "is repo-cipher-pass (or its -file or -command) the one the repository was created with?";
    for (const TwinFault& fault : inspect_documents(storage, [](const Error&) { return true; })) {
        hint += std::string("\n") + fault.error.what();
    }
    throw Error(ErrorCode::crypto, "the passphrase opens none of the repository's keys", hint);
}

codec::Key
unlock(const storage::Storage& storage, const Identity& identity, const CipherSetting& setting)
{
    std::optional<Error> failure;
    const std::vector<std::string> slots = list_key_slots(storage);
    if (const auto key = try_slots(storage, slots, identity, setting.passphrase, failure)) {
        return *key;
    }
    std::vector<std::string> lost = list_copied_key_slots(storage);
    std::erase_if(lost, [&](const std::string& path) {
        return std::ranges::find(slots, path) != slots.end();
    });
    if (const auto key = try_slots(storage, lost, identity, setting.passphrase, failure)) {
        return *key;
    }
    if (failure) {
        throw Error(*failure);
    }
    if (slots.empty() && lost.empty()) {
        raise(ErrorCode::file_missing, "the repository has no key in '{}'", kKeysDirectory);
    }
    raise_locked(storage);
}

// A new identity with its key. Several hosts may do this at once.
void make(storage::Storage& storage, const CipherSetting& setting)
{
    check_unused(storage);
    // What a run that was killed here has left. A slot is bound to the repository's id, so none of
    // these can be one of the repository that is made now.
    const std::vector<std::string> left_behind = list_key_slots(storage);
    const std::vector<std::string> left_copies = list_copied_key_slots(storage);
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
    if (write_identity(storage, {.id = id, .cipher = setting.type})) {
        // Only now, and only what was there before: until the identity stands, another host may be
        // making the repository, and its key is not ours to remove.
        for (const std::string& path : left_behind) {
            storage.remove(path);
        }
        for (const std::string& path : left_copies) {
            storage.remove(copy_path(path));
        }
    } else if (!own_key.empty()) {
        // In this order: mend_documents() looks for the slot when it has made a copy.
        storage.remove(own_key);
        storage.remove(copy_path(own_key));
    }
}

} // namespace

Repository::Repository(storage::Storage& storage, std::string id, codec::ObjectCipher cipher)
    : storage_(storage), id_(std::move(id)), cipher_(std::move(cipher))
{
}

const codec::PageHashKey& Repository::page_hash_key() const
{
    page_hash_key_made_.run([this] {
        const bool is_sealed = cipher_.type != codec::CipherType::none;
        codec::hkdf_sha256(is_sealed ? cipher_.key.view() : as_bytes(id_),
                           {},
                           as_bytes("pgstrata page hash"),
                           page_hash_key_);
    });
    return page_hash_key_;
}

std::unique_ptr<Repository> Repository::open(storage::Storage& storage,
                                             const CipherSetting& setting)
{
    return open_as(storage, read_identity(storage), setting);
}

std::unique_ptr<Repository> Repository::open_or_create(storage::Storage& storage,
                                                       const CipherSetting& setting)
{
    auto identity = read_identity(storage);
    if (!identity) {
        make(storage, setting);
        identity = read_identity(storage);
    }
    auto repository = open_as(storage, identity, setting);
    mend_documents(storage);
    return repository;
}

std::unique_ptr<Repository> Repository::open_as(storage::Storage& storage,
                                                const std::optional<Identity>& identity,
                                                const CipherSetting& setting)
{
    if (!identity) {
        raise_no_identity(storage);
    }
    check_cipher(*identity, setting);
    codec::ObjectCipher cipher{setting.type, {}};
    if (setting.type != codec::CipherType::none) {
        cipher.key = unlock(storage, *identity, setting);
    }
    return std::unique_ptr<Repository>(new Repository(storage, identity->id, cipher));
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
    return open_document(storage::read_file(storage_, path, kDocumentLimit), path);
}

nlohmann::json Repository::open_document(ByteView stored, std::string_view path) const
{
    const std::string name(path);
    if (cipher_.type == codec::CipherType::none) {
        return repository::open_document(as_text(stored), name);
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
