// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/identity.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/path.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <iterator>

namespace pgstrata::repository {

namespace {

constexpr std::string_view kSlotSuffix = ".json";
constexpr auto kCopiesMember = "copies";

Error newer_format(std::uint64_t format, const std::string& path)
{
    return {ErrorCode::version_not_supported,
            fmt::format("the repository has format {} by its '{}', this program knows {}",
                        format,
                        path,
                        kRepositoryFormat),
            "use the version of pgstrata that wrote it, or a newer one"};
}

// What a text says that need not be sound; nullopt when that is no newer format.
std::optional<Error> stated_newer_format(std::string_view text, const std::string& path)
{
    const nlohmann::json unchecked = nlohmann::json::parse(text, nullptr, false);
    const bool is_newer = unchecked.is_object() && unchecked.contains("format") &&
                          unchecked["format"].is_number_unsigned() &&
                          unchecked["format"] > kRepositoryFormat;
    return is_newer ? std::optional(newer_format(unchecked["format"], path)) : std::nullopt;
}

Identity decode_identity(const nlohmann::json& document, const std::string& path)
{
    const auto cipher = codec::parse_cipher(document_text(document, "cipher", path));
    if (!cipher) {
        raise(ErrorCode::format, "'{}' in the repository names an unknown cipher", path);
    }
    const auto copies = document.find(kCopiesMember);
    return {
        document_text(document, "id", path), *cipher, copies != document.end() && *copies == true};
}

// Takes the identity from whichever of its two texts is sound.
class IdentityReader {
public:
    // A sound text of a newer format is refused before anything else is looked at. One that is not
    // sound may have a flipped digit: what it says counts only when none is.
    void operator()(std::string_view text, const std::string& path)
    {
        const std::optional<Error> newer = stated_newer_format(text, path);
        const nlohmann::json document = open(text, path, newer);
        if (newer) {
            throw Error(*newer);
        }
        identity_ = decode_identity(document, path);
    }
    // Lets `work` read the twin with this reader. Where neither was sound and one says that it is
    // of a newer format, that is the error: its checksum may be another.
    template <typename Work>
    auto read_by(const Work& work)
    {
        try {
            return work(std::ref(*this));
        } catch (const Error& error) {
            const bool is_lost =
                error.code() == ErrorCode::checksum || error.code() == ErrorCode::file_missing;
            if (is_lost && unproved_) {
                throw Error(*unproved_);
            }
            throw;
        }
    }
    const Identity& identity() const noexcept { return identity_; }

private:
    nlohmann::json
    open(std::string_view text, const std::string& path, const std::optional<Error>& newer)
    {
        try {
            return open_document(text, path);
        } catch (const Error&) {
            if (newer && !unproved_) {
                unproved_ = newer;
            }
            throw;
        }
    }

    Identity identity_;
    std::optional<Error> unproved_; // that a text which is not sound says to be newer
};

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
    IdentityReader reader;
    const bool is_there = reader.read_by([&](const TextReader& read) {
        return read_twin(storage, std::string(kRepositoryFile), read);
    });
    return is_there ? std::optional(reader.identity()) : std::nullopt;
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
    IdentityReader().read_by([&](const TextReader& read) {
        return mend_twin(storage, std::string(kRepositoryFile), read);
    });
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
    IdentityReader reader;
    std::vector<TwinFault> faults = inspect_twin(
        storage,
        std::string(kRepositoryFile),
        [&](std::string_view text, const std::string& path) {
            has_copies = has_copies || is_copy_path(path);
            reader(text, path);
            is_older = !reader.identity().has_copies;
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
