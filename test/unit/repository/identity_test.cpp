// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/recorded_log.hpp"
#include "unit/repository/identity_fixture.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using Catch::Contains;

namespace {

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
