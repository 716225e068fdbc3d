// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/recorded_log.hpp"
#include "support/storage_that_dies.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/identity.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using Catch::Contains;

namespace {

using Objects = std::map<std::string, std::string>;

Objects objects_of(const storage::Storage& storage)
{
    Objects objects;
    storage::list_recursively(storage, "", [&](const storage::EntryInfo& entry) {
        const Buffer bytes = storage::read_file(storage, entry.name, 2 * kDocumentLimit);
        objects[entry.name] = as_text(bytes);
    });
    return objects;
}

std::string slot_of(const storage::Storage& storage)
{
    return list_key_slots(storage).at(0);
}

enum class Loss { removed, emptied, cut, flipped, too_large };

constexpr auto kLosses = {Loss::removed, Loss::emptied, Loss::cut, Loss::flipped, Loss::too_large};

void lose(const MemoryRepository& memory, const std::string& path, Loss loss)
{
    const Buffer bytes = memory.read(path);
    switch (loss) {
    case Loss::removed:
        memory.storage->remove(path);
        break;
    case Loss::emptied:
        memory.replace(path, {});
        break;
    case Loss::cut:
        memory.replace(path, bytes.view().first(bytes.size() - 1));
        break;
    case Loss::flipped:
        memory.flip(path, bytes.size() - 10);
        break;
    case Loss::too_large:
        memory.replace(path, as_bytes(std::string(kDocumentLimit + 1, ' ')));
        break;
    }
}

// The documents of a repository that are kept twice.
std::vector<std::string> documents(const MemoryRepository& memory)
{
    std::vector<std::string> paths = list_key_slots(*memory.storage);
    paths.emplace_back(kRepositoryFile);
    return paths;
}

CipherSetting open_or_sealed()
{
    return GENERATE(CipherSetting(), gcm_setting());
}

// Only what is not understood is of the object.
std::vector<TwinFault> inspect(const storage::Storage& storage)
{
    return inspect_documents(storage,
                             [](const Error& error) { return error.code() == ErrorCode::format; });
}

std::string described(const std::vector<TwinFault>& faults)
{
    std::string text;
    for (const TwinFault& fault : faults) {
        text += fmt::format("{}: {}\n", fault.object, fault.error.what());
    }
    return text;
}

// An identity with one digit flipped.
std::string with_format_9(ByteView sound)
{
    std::string text(as_text(sound));
    constexpr std::string_view kFormat = "\"format\": 1";
    const auto at = text.find(kFormat);
    REQUIRE(at != std::string::npos);
    text[at + kFormat.size() - 1] = '9';
    return text;
}

// The identity as versions without copies wrote it.
void make_older(const MemoryRepository& memory)
{
    nlohmann::json document =
        open_document(as_text(memory.read(kRepositoryFile)), std::string(kRepositoryFile));
    document.erase("copies");
    memory.replace(kRepositoryFile, as_bytes(seal_document(document)));
    for (const std::string& path : documents(memory)) {
        memory.storage->remove(copy_path(path));
    }
}

} // namespace

TEST_CASE("a new repository has its identity and key twice, byte for byte", "[identity][bug-47]")
{
    const CipherSetting setting = open_or_sealed();
    const MemoryRepository memory(setting);
    const auto objects = objects_of(*memory.storage);

    CHECK(objects.size() == (setting.type == codec::CipherType::none ? 2 : 4));
    for (const std::string& path : documents(memory)) {
        CHECK(objects.at(copy_path(path)) == objects.at(path));
    }
    CHECK(described(inspect(*memory.storage)).empty());
}

TEST_CASE("a sound repository is opened with one read of each document", "[identity]")
{
    const CipherSetting setting = open_or_sealed();
    const MemoryRepository memory(setting);
    std::vector<std::string> asked;
    HookedStorage watched(*memory.storage,
                          [&](StorageCall, std::string_view path) { asked.emplace_back(path); });

    Repository::open(watched, setting);

    if (setting.type == codec::CipherType::none) {
        CHECK(asked == std::vector<std::string>{"pgstrata.json"});
    } else {
        CHECK(asked == std::vector<std::string>{"pgstrata.json", "keys", slot_of(*memory.storage)});
    }
}

TEST_CASE("what is lost of identity and key is read from the copy, with one warning that says what "
          "mends it",
          "[identity][bug-47]")
{
    const CipherSetting setting = open_or_sealed();
    const Loss loss = GENERATE(values(kLosses));
    const MemoryRepository memory(setting);
    for (const std::string& path : documents(memory)) {
        CAPTURE(path, static_cast<int>(loss));
        const Buffer before = memory.read(path);
        lose(memory, path, loss);
        const auto damaged = objects_of(*memory.storage);
        const WarningLog warnings;

        const auto opened = Repository::open(*memory.storage, setting);

        CHECK(opened->id() == memory.repository->id());
        CHECK(opened->page_hash_key() == memory.repository->page_hash_key());
        const std::string text = warnings.text();
        CHECK(text.find("WARN") == text.rfind("WARN"));
        CHECK_THAT(text, Contains("WARN: '" + path + "'") && Contains("stanza-create"));
        CHECK_THAT(text, Contains(loss == Loss::removed ? "is missing" : "is damaged"));
        CHECK(has_identity(*memory.storage));
        CHECK(objects_of(*memory.storage) == damaged);
        memory.replace(path, before);
    }
}

TEST_CASE(
    "what is lost of identity, key and copies is written from the other one, and nothing else is",
    "[identity][bug-47]")
{
    const CipherSetting setting = open_or_sealed();
    const Loss loss = GENERATE(values(kLosses));
    const bool is_copy = GENERATE(false, true);
    const MemoryRepository memory(setting);
    const auto sound = objects_of(*memory.storage);
    for (const std::string& path : documents(memory)) {
        const std::string lost = is_copy ? copy_path(path) : path;
        CAPTURE(lost, static_cast<int>(loss));
        lose(memory, lost, loss);
        const WarningLog warnings;
        const auto faults = inspect(*memory.storage);
        REQUIRE(faults.size() == 1);
        CHECK(faults.front().object == lost);
        CHECK(faults.front().error.code() ==
              (loss == Loss::removed ? ErrorCode::file_missing : ErrorCode::checksum));
        CHECK_THAT(faults.front().error.what(), Contains("stanza-create"));

        std::vector<std::string> written;
        HookedStorage watched(*memory.storage, [&](StorageCall call, std::string_view where) {
            if (call != StorageCall::info && call != StorageCall::list &&
                call != StorageCall::open) {
                written.emplace_back(where);
            }
        });
        Repository::open_or_create(watched, setting);

        CHECK(written == std::vector<std::string>{lost});
        CHECK(objects_of(*memory.storage) == sound);
        CHECK(inspect(*memory.storage).empty());
    }
}

TEST_CASE("where document and copy are lost the error is the document's, and nothing is written",
          "[identity][bug-47]")
{
    const CipherSetting setting = open_or_sealed();
    const Loss loss = GENERATE(Loss::removed, Loss::cut, Loss::too_large);
    const Loss loss_of_copy = GENERATE(Loss::removed, Loss::emptied, Loss::flipped);
    using Attempt = void (*)(storage::Storage&, const CipherSetting&);
    const auto attempt = GENERATE(
        values<Attempt>({[](auto& storage, auto& how) { Repository::open(storage, how); },
                         [](auto& storage, auto& how) { Repository::open_or_create(storage, how); },
                         [](auto& storage, auto&) { mend_documents(storage); }}));
    const MemoryRepository memory(setting);
    for (const std::string& path : documents(memory)) {
        if (loss == Loss::removed && loss_of_copy == Loss::removed) {
            continue; // then there was no such document
        }
        CAPTURE(path, static_cast<int>(loss), static_cast<int>(loss_of_copy));
        const Buffer before = memory.read(path);
        lose(memory, path, loss);
        lose(memory, copy_path(path), loss_of_copy);
        const auto damaged = objects_of(*memory.storage);
        const auto code = loss == Loss::removed ? ErrorCode::file_missing : ErrorCode::checksum;
        try {
            attempt(*memory.storage, setting);
            FAIL("nothing was thrown");
        } catch (const Error& error) {
            CHECK(error.code() == code);
            CHECK_THAT(error.what(), Contains(path));
            CHECK_THAT(error.hint(), Contains(copy_path(path)));
        }
        CHECK(objects_of(*memory.storage) == damaged);
        CHECK(inspect(*memory.storage).size() == 2);
        memory.replace(path, before);
        memory.replace(copy_path(path), before);
    }
}

TEST_CASE("a store that is away is no loss", "[identity][bug-47][bug-48]")
{
    const CipherSetting setting = open_or_sealed();
    const MemoryRepository memory(setting);
    const bool is_copy = GENERATE(false, true);
    const ErrorCode code = GENERATE(ErrorCode::service, ErrorCode::access, ErrorCode::file_read);
    for (const std::string& path : documents(memory)) {
        const Buffer before = memory.read(path);
        if (is_copy) {
            memory.storage->remove(path);
        }
        const std::string away = is_copy ? copy_path(path) : path;
        CAPTURE(away);
        const auto damaged = objects_of(*memory.storage);
        HookedStorage storage(*memory.storage, [&](StorageCall call, std::string_view where) {
            if (call == StorageCall::open && where == away) {
                raise(code, "the store is away");
            }
        });

        CHECK_THROWS_MATCHES(Repository::open(storage, setting), Error, HasCode(code));
        CHECK_THROWS_MATCHES(Repository::open_or_create(storage, setting), Error, HasCode(code));
        CHECK_THROWS_MATCHES(mend_documents(storage), Error, HasCode(code));
        CHECK_THROWS_MATCHES(inspect(storage), Error, HasCode(code));
        const auto faults = inspect_documents(storage, [](const Error&) { return true; });
        CHECK(std::ranges::any_of(faults, [&](const TwinFault& fault) {
            return fault.object == away && fault.error.code() == code;
        }));
        CHECK(objects_of(*memory.storage) == damaged);
        memory.replace(path, before);
    }
}

TEST_CASE("a copy that is another repository's is told of and not touched", "[identity][bug-47]")
{
    const MemoryRepository memory;
    const MemoryRepository other;
    memory.replace(copy_path(kRepositoryFile), other.read(kRepositoryFile));
    const auto before = objects_of(*memory.storage);
    const WarningLog warnings;

    CHECK(Repository::open(*memory.storage, {})->id() == memory.repository->id());
    CHECK_THAT(warnings.text(), !Contains("WARN"));
    CHECK_THROWS_MATCHES(
        Repository::open_or_create(*memory.storage, {}), Error, HasCode(ErrorCode::repo_invalid));
    CHECK(objects_of(*memory.storage) == before);
    const auto faults = inspect(*memory.storage);
    REQUIRE(faults.size() == 1);
    CHECK(faults.front().object == copy_path(kRepositoryFile));
    CHECK_THAT(faults.front().error.what(), Contains("another repository"));
}

TEST_CASE("an identity that is another repository's is thought of where no key opens",
          "[identity][bug-47]")
{
    const MemoryRepository memory(gcm_setting());
    const MemoryRepository other(gcm_setting());
    memory.replace(kRepositoryFile, other.read(kRepositoryFile));
    try {
        Repository::open(*memory.storage, gcm_setting());
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::crypto);
        CHECK_THAT(error.hint(), Contains("repo-cipher-pass") && Contains("another repository"));
    }
}

TEST_CASE("an identity that is sound and not understood is not replaced by its copy",
          "[identity][bug-48]")
{
    const MemoryRepository memory;
    memory.replace(kRepositoryFile,
                   as_bytes(seal_document({{"format", 1}, {"id", "x"}, {"cipher", "rot13"}})));
    const auto before = objects_of(*memory.storage);

    CHECK_THROWS_MATCHES(
        Repository::open_or_create(*memory.storage, {}), Error, HasCode(ErrorCode::format));
    CHECK_THROWS_MATCHES(mend_documents(*memory.storage), Error, HasCode(ErrorCode::format));
    CHECK(objects_of(*memory.storage) == before);
    CHECK(inspect(*memory.storage).size() == 1);
}

TEST_CASE("a copy of a newer format is refused as the identity would be", "[identity][bug-48]")
{
    const MemoryRepository memory;
    lose(memory, std::string(kRepositoryFile), GENERATE(Loss::removed, Loss::cut));
    memory.replace(copy_path(kRepositoryFile), as_bytes(R"({"format": 2})"));
    const auto before = objects_of(*memory.storage);

    CHECK_THROWS_MATCHES(Repository::open_or_create(*memory.storage, {}),
                         Error,
                         HasCode(ErrorCode::version_not_supported));
    CHECK(objects_of(*memory.storage) == before);
}

TEST_CASE("a sound identity of a newer format is refused whatever its copy says",
          "[identity][bug-48]")
{
    const MemoryRepository memory;
    memory.replace(kRepositoryFile, as_bytes(seal_document({{"format", 2}})));
    const auto before = objects_of(*memory.storage);

    CHECK_THROWS_MATCHES(Repository::open_or_create(*memory.storage, {}),
                         Error,
                         HasCode(ErrorCode::version_not_supported));
    CHECK_THROWS_MATCHES(
        mend_documents(*memory.storage), Error, HasCode(ErrorCode::version_not_supported));
    CHECK(objects_of(*memory.storage) == before);
}

TEST_CASE("a digit that makes the format a newer one is damage, and the copy serves",
          "[identity][bug-47][bug-48]")
{
    const MemoryRepository memory;
    const bool is_copy = GENERATE(false, true);
    const std::string lost = is_copy ? copy_path(kRepositoryFile) : std::string(kRepositoryFile);
    const Buffer sound = memory.read(lost);
    const std::string damaged = with_format_9(sound);
    const WarningLog warnings;

    SECTION("where the other one is sound")
    {
        memory.replace(lost, as_bytes(damaged));
        CHECK(Repository::open(*memory.storage, {})->id() == memory.repository->id());
        CHECK((warnings.text().find("stanza-create") != std::string::npos) == !is_copy);
        const auto faults = inspect(*memory.storage);
        REQUIRE(faults.size() == 1);
        CHECK(faults.front().object == lost);
        CHECK(faults.front().error.code() == ErrorCode::checksum);
        mend_documents(*memory.storage);
        CHECK(as_text(memory.read(lost)) == as_text(sound));
    }
    SECTION("where there is no other one")
    {
        memory.replace(lost, as_bytes(damaged));
        memory.storage->remove(is_copy ? std::string(kRepositoryFile) : copy_path(kRepositoryFile));
        const auto before = objects_of(*memory.storage);
        CHECK_THROWS_MATCHES(Repository::open(*memory.storage, {}),
                             Error,
                             HasCode(ErrorCode::version_not_supported));
        CHECK_THROWS_MATCHES(
            mend_documents(*memory.storage), Error, HasCode(ErrorCode::version_not_supported));
        CHECK(objects_of(*memory.storage) == before);
    }
}

TEST_CASE("a repository of a version without copies gets them", "[identity][bug-47]")
{
    const CipherSetting setting = open_or_sealed();
    const MemoryRepository memory(setting);
    make_older(memory);
    CHECK(inspect(*memory.storage).empty());
    const auto older = objects_of(*memory.storage);

    SECTION("from stanza-create")
    {
        Repository::open_or_create(*memory.storage, setting);
    }
    SECTION("from stanza-upgrade")
    {
        mend_documents(*memory.storage);
    }
    SECTION("from backup")
    {
        make_missing_copies(*memory.storage);
    }

    auto expected = older;
    for (const auto& [path, bytes] : older) {
        expected[copy_path(path)] = bytes;
    }
    CHECK(objects_of(*memory.storage) == expected);
    CHECK(inspect(*memory.storage).empty());
    if (setting.type != codec::CipherType::none) {
        // Now there are copies, so one that is not there was lost.
        memory.storage->remove(copy_path(kRepositoryFile));
        CHECK(inspect(*memory.storage).size() == 1);
    }
}

TEST_CASE("copies that are there cost one look", "[identity]")
{
    const MemoryRepository memory(open_or_sealed());
    std::vector<std::string> asked;
    HookedStorage watched(*memory.storage,
                          [&](StorageCall, std::string_view path) { asked.emplace_back(path); });
    make_missing_copies(watched);
    CHECK(asked == std::vector<std::string>{copy_path(kRepositoryFile)});
}

TEST_CASE("a repository that died being made is whole after the next try",
          "[identity][bug-47][bug-56]")
{
    const CipherSetting setting = open_or_sealed();
    storage::FaultPlan plan;
    plan.code = ErrorCode::file_write;
    plan.stay_broken = true;
    for (bool is_made = false; !is_made;) {
        const auto storage = storage::make_memory_storage();
        const auto failing = storage::make_failing_storage(*storage, plan);
        plan.count = 0;
        ++plan.fail_at;
        CAPTURE(plan.fail_at);
        try {
            Repository::open_or_create(*failing, setting);
            is_made = true;
        } catch (const Error&) {
            is_made = false;
        }
        const bool is_there = storage->info(kRepositoryFile).has_value();
        const std::string id = is_there ? Repository::open(*storage, setting)->id() : "";

        const auto again = Repository::open_or_create(*storage, setting);

        CHECK((!is_there || again->id() == id));
        CHECK(objects_of(*storage).size() == (setting.type == codec::CipherType::none ? 2 : 4));
        CHECK(inspect(*storage).empty());
    }
    CHECK(plan.fail_at > 10);
}

TEST_CASE("a repository that died being mended opens, and is whole after the next try",
          "[identity][bug-47]")
{
    const CipherSetting setting = gcm_setting();
    const bool is_copy = GENERATE(false, true);
    const Loss loss = GENERATE(Loss::removed, Loss::flipped);
    const MemoryRepository memory(setting);
    const auto sound = objects_of(*memory.storage);
    const WarningLog warnings;
    StorageThatDies dying(*memory.storage);
    for (bool is_mended = false; !is_mended;) {
        for (const std::string& path : documents(memory)) {
            lose(memory, is_copy ? copy_path(path) : path, loss);
        }
        is_mended = dying.survives_later(mend_documents);
        CAPTURE(dying.died_at());
        CHECK(Repository::open(*memory.storage, setting)->id() == memory.repository->id());
        Repository::open_or_create(*memory.storage, setting);
        CHECK(objects_of(*memory.storage) == sound);
    }
    CHECK(dying.died_at() > 10);
}

TEST_CASE("copies that were made in part are completed by the next backup", "[identity][bug-47]")
{
    const MemoryRepository memory(gcm_setting());
    StorageThatDies dying(*memory.storage);
    for (bool is_done = false; !is_done;) {
        make_older(memory);
        is_done = dying.survives_later(make_missing_copies);
        CAPTURE(dying.died_at());
        make_missing_copies(*memory.storage);
        CHECK(objects_of(*memory.storage).size() == 4);
    }
    CHECK(dying.died_at() > 10);
}

TEST_CASE("a slot that its host takes back is not brought back by a copy", "[identity][bug-56]")
{
    const MemoryRepository memory(gcm_setting());
    const KeySlot late = make_key_slot(kGeneratedPassphrase, {}, "another id");
    const std::string path = key_path(late.id);
    storage::write_file(*memory.storage, path, as_bytes(encode_key_slot(late)));
    const auto moment = GENERATE(StorageCall::create, StorageCall::info);
    HookedStorage storage(*memory.storage, [&](StorageCall call, std::string_view where) {
        // Before the copy is written, and when it is there.
        if (call == moment && (where == path || where == copy_path(path))) {
            memory.storage->remove(path);
            memory.storage->remove(copy_path(path));
        }
    });

    mend_documents(storage);

    CHECK_FALSE(memory.storage->info(path));
    CHECK_FALSE(memory.storage->info(copy_path(path)));
    CHECK(inspect(*memory.storage).empty());
}

TEST_CASE("a slot under the name of another is found", "[identity][bug-51]")
{
    const MemoryRepository memory(gcm_setting());
    const std::string path = key_path("0123456789abcdef");
    memory.replace(path, memory.read(slot_of(*memory.storage)));
    memory.replace(copy_path(path), memory.read(path));

    const auto faults = inspect(*memory.storage);

    REQUIRE(faults.size() == 2);
    CHECK(faults.front().object == path);
    CHECK_THAT(faults.front().error.what(), Contains("is another key"));
}
