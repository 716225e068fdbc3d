// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/identity.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>

namespace pgstrata::repository {

namespace {

constexpr std::string_view kSlotSuffix = ".json";
constexpr auto kCopiesMember = "copies";

[[noreturn]] void raise_newer(std::uint64_t format, const std::string& path)
{
    throw Error(ErrorCode::version_not_supported,
                fmt::format("the repository has format {} by its '{}', this program knows {}",
                            format,
                            path,
                            kRepositoryFormat),
                "use the version of pgstrata that wrote it, or a newer one");
}

Identity decode_identity(std::string_view text, const std::string& path)
{
    // The format comes first: a newer one may have another idea of everything else.
    const nlohmann::json unchecked = nlohmann::json::parse(text, nullptr, false);
    if (unchecked.is_object() && unchecked.contains("format") &&
        unchecked["format"].is_number_unsigned() && unchecked["format"] > kRepositoryFormat) {
        raise_newer(unchecked["format"], path);
    }
    const nlohmann::json document = open_document(text, path);
    const auto cipher = codec::parse_cipher(document_text(document, "cipher", path));
    if (!cipher) {
        raise(ErrorCode::format, "'{}' in the repository names an unknown cipher", path);
    }
    const auto copies = document.find(kCopiesMember);
    return {
        document_text(document, "id", path), *cipher, copies != document.end() && *copies == true};
}

void check_slot_name(const std::string& id, const std::string& path)
{
    if (file_name(path) != file_name(key_path(id))) {
        raise(ErrorCode::checksum, "'{}' in the repository is another key", path);
    }
}

// To mend a slot it need not be understood.
void check_slot(std::string_view text, const std::string& path)
{
    check_slot_name(document_text(open_document(text, path), "id", path), path);
}

std::vector<std::string> list_slots_in(const storage::Storage& storage, std::string_view directory)
{
    std::vector<std::string> paths;
    storage.list(directory, [&](const storage::EntryInfo& entry) {
        if (entry.type == storage::EntryType::file && entry.name.ends_with(kSlotSuffix)) {
            paths.push_back(key_path(entry.name.substr(0, entry.name.size() - kSlotSuffix.size())));
        }
    });
    return paths;
}

std::vector<std::string> list_all_slots(const storage::Storage& storage)
{
    const std::vector<std::string> slots = list_key_slots(storage);
    const std::vector<std::string> copied = list_copied_key_slots(storage);
    std::vector<std::string> all;
    std::ranges::set_union(slots, copied, std::back_inserter(all));
    return all;
}

bool is_missing_copy(const TwinFault& fault)
{
    return fault.error.code() == ErrorCode::file_missing && is_copy_path(fault.object);
}

} // namespace

std::optional<Identity> read_identity(const storage::Storage& storage)
{
    Identity identity;
    const bool is_there = read_twin(
        storage, std::string(kRepositoryFile), [&](std::string_view text, const std::string& path) {
            identity = decode_identity(text, path);
        });
    return is_there ? std::optional(identity) : std::nullopt;
}

bool write_identity(storage::Storage& storage, const Identity& identity)
{
    const nlohmann::json document = {
        {"format", kRepositoryFormat},
        {"id", identity.id},
        {"cipher", codec::cipher_name(identity.cipher)},
        {kCopiesMember, identity.has_copies},
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

bool has_identity(const storage::Storage& storage)
{
    return storage.info(kRepositoryFile) || storage.info(copy_path(kRepositoryFile));
}

std::vector<std::string> list_key_slots(const storage::Storage& storage)
{
    return list_slots_in(storage, kKeysDirectory);
}

std::vector<std::string> list_copied_key_slots(const storage::Storage& storage)
{
    return list_slots_in(storage, copy_path(kKeysDirectory));
}

void mend_documents(storage::Storage& storage)
{
    for (const std::string& path : list_all_slots(storage)) {
        const bool is_copied = mend_twin(storage, path, check_slot);
        // The slot of a host that lost the race for a new repository: its copy would bring back
        // what that host has removed.
        if (is_copied && !storage.info(path)) {
            storage.remove(copy_path(path));
        }
    }
    mend_twin(storage, std::string(kRepositoryFile), decode_identity);
}

void make_missing_copies(storage::Storage& storage)
{
    if (!storage.info(copy_path(kRepositoryFile))) {
        mend_documents(storage);
    }
}

std::vector<TwinFault> inspect_documents(const storage::Storage& storage,
                                         const ErrorJudge& is_of_object)
{
    bool has_copies = !list_copied_key_slots(storage).empty();
    bool is_older = false;
    std::vector<TwinFault> faults = inspect_twin(
        storage,
        std::string(kRepositoryFile),
        [&](std::string_view text, const std::string& path) {
            has_copies = has_copies || is_copy_path(path);
            is_older = !decode_identity(text, path).has_copies;
        },
        is_of_object);
    const auto read_slot = [](std::string_view text, const std::string& path) {
        check_slot_name(decode_key_slot(text, path).id, path);
    };
    for (const std::string& path : list_all_slots(storage)) {
        std::ranges::move(inspect_twin(storage, path, read_slot, is_of_object),
                          std::back_inserter(faults));
    }
    if (is_older && !has_copies && std::erase_if(faults, is_missing_copy) != 0) {
        log::info("the repository keeps no copy of '{}': stanza-create makes one", kRepositoryFile);
    }
    return faults;
}

} // namespace pgstrata::repository
