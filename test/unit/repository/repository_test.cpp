// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/document.hpp"
#include "pgstrata/repository/keys.hpp"
#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr auto kDocumentPath = "archive/demo/15-1/cluster.json";

std::unique_ptr<Repository> open(const MemoryRepository& memory, const CipherSetting& setting)
{
    return Repository::open(*memory.storage, setting);
}

} // namespace

TEST_CASE("a repository that was made is opened again with the same key", "[repository]")
{
    const CipherSetting setting =
        GENERATE(CipherSetting(),
                 gcm_setting(),
                 gcm_setting("a person's passphrase"),
                 CipherSetting{codec::CipherType::aes_256_cbc, kGeneratedPassphrase});
    const MemoryRepository memory(setting);
    memory.repository->write_document(kDocumentPath, {{"a", 1}});

    const auto again = open(memory, setting);
    const auto made_again = Repository::open_or_create(*memory.storage, setting);

    CHECK(again->id() == memory.repository->id());
    CHECK(again->id().size() == 32);
    CHECK(again->page_hash_key() == memory.repository->page_hash_key());
    CHECK(again->read_document(kDocumentPath) == nlohmann::json({{"a", 1}}));
    CHECK(made_again->id() == memory.repository->id());
}

TEST_CASE("two repositories share neither id nor key", "[repository][bug-56]")
{
    const MemoryRepository first(gcm_setting());
    const MemoryRepository second(gcm_setting());
    CHECK(first.repository->id() != second.repository->id());
    CHECK_FALSE(std::ranges::equal(first.repository->cipher().key.view(),
                                   second.repository->cipher().key.view()));
    CHECK(first.repository->page_hash_key() != second.repository->page_hash_key());
}

TEST_CASE("there is a hint where there is no repository", "[repository]")
{
    const auto storage = storage::make_memory_storage();
    try {
        Repository::open(*storage, {});
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::file_missing);
        CHECK(error.hint().find("stanza-create") != std::string::npos);
    }
    CHECK(names_in(*storage, "").empty());
}

TEST_CASE("another program's repository is told from none", "[repository][bug-61]")
{
    const auto storage = storage::make_memory_storage();
    const std::string path = GENERATE("archive/demo/archive.info", "backup/demo/backup.info");
    storage::write_file(*storage, path, as_bytes("[backrest]"), storage::WriteMode::replace);
    try {
        Repository::open(*storage, {});
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::file_missing);
        CHECK_THAT(error.what(),
                   Catch::Contains("something in '" + path.substr(0, path.find('/'))));
        CHECK_THAT(error.hint(), Catch::Contains("another program's repository?"));
    }
    CHECK(names_in(*storage, "").size() == 1);
}

TEST_CASE("a wrong passphrase opens nothing", "[repository][bug-56]")
{
    const MemoryRepository memory(gcm_setting());
    const std::string wrong = GENERATE(std::string(), std::string("wrong"));
    CHECK_THROWS_MATCHES(open(memory, gcm_setting(wrong)), Error, HasCode(ErrorCode::crypto));
    CHECK_THROWS_MATCHES(Repository::open_or_create(*memory.storage, gcm_setting(wrong)),
                         Error,
                         HasCode(ErrorCode::crypto));
}

TEST_CASE("another cipher than the repository's is refused", "[repository][bug-51]")
{
    using codec::CipherType;
    const auto [made, asked] = GENERATE(table<CipherType, CipherType>({
        {CipherType::none, CipherType::aes_256_gcm},
        {CipherType::aes_256_gcm, CipherType::none},
        {CipherType::aes_256_gcm, CipherType::aes_256_cbc},
        {CipherType::aes_256_cbc, CipherType::aes_256_gcm},
    }));
    const MemoryRepository memory({made, kGeneratedPassphrase});
    CHECK_THROWS_MATCHES(
        open(memory, {asked, kGeneratedPassphrase}), Error, HasCode(ErrorCode::crypto));
}

TEST_CASE("a newer format is refused as such, even where all else is new", "[repository][bug-48]")
{
    const MemoryRepository memory;
    const std::string text = GENERATE(as<std::string>{},
                                      R"({"format": 2})",
                                      R"({"format": 2, "id": [], "cipher": {}, "checksum": "?"})",
                                      R"({"format": 18446744073709551615})",
                                      seal_document({{"format", 2}, {"id", 7}}));
    memory.replace(kRepositoryFile, as_bytes(text));
    memory.replace(copy_path(kRepositoryFile), as_bytes(text));
    CHECK_THROWS_MATCHES(open(memory, {}), Error, HasCode(ErrorCode::version_not_supported));
    CHECK_THROWS_MATCHES(Repository::open_or_create(*memory.storage, {}),
                         Error,
                         HasCode(ErrorCode::version_not_supported));
}

TEST_CASE("a damaged identity is never replaced by a new one", "[repository][bug-47][bug-48]")
{
    const MemoryRepository memory;
    const std::string text = GENERATE("", "{", R"({"format": 1, "id": "x"})");
    memory.replace(kRepositoryFile, as_bytes(text));
    memory.storage->remove(copy_path(kRepositoryFile));
    CHECK_THROWS_MATCHES(
        Repository::open_or_create(*memory.storage, {}), Error, HasCode(ErrorCode::checksum));
    CHECK(as_text(memory.read(kRepositoryFile)) == text);
}

TEST_CASE("an unknown cipher is refused", "[repository]")
{
    const MemoryRepository memory;
    memory.replace(kRepositoryFile,
                   as_bytes(seal_document({{"format", 1}, {"id", "x"}, {"cipher", "rot13"}})));
    CHECK_THROWS_MATCHES(open(memory, {}), Error, HasCode(ErrorCode::format));
}

TEST_CASE("only a proved absence makes a new repository", "[repository][bug-48]")
{
    const MemoryRepository memory;
    storage::FaultPlan plan;
    plan.fail_at = GENERATE(1U, 2U, 3U);
    plan.code = ErrorCode::service;
    plan.stay_broken = true;
    const auto failing = storage::make_failing_storage(*memory.storage, plan);
    CHECK_THROWS_MATCHES(
        Repository::open_or_create(*failing, {}), Error, HasCode(ErrorCode::service));
    CHECK(open(memory, {})->id() == memory.repository->id());
}

TEST_CASE("a new identity is not given to objects of a lost one", "[repository][bug-47][bug-56]")
{
    const MemoryRepository memory(gcm_setting());
    const std::string path =
        GENERATE(as<std::string>(), kDocumentPath, "backup/demo/x/backup.json");
    memory.repository->write_document(path, nlohmann::json::object());
    memory.storage->remove(kRepositoryFile);
    memory.storage->remove(copy_path(kRepositoryFile));
    const auto keys = names_in(*memory.storage, "keys");

    CHECK_THROWS_MATCHES(Repository::open_or_create(*memory.storage, gcm_setting()),
                         Error,
                         HasCode(ErrorCode::path_not_empty));
    CHECK(names_in(*memory.storage, "keys") == keys);
}

TEST_CASE("what a run that was killed left behind is in nobody's way", "[repository][bug-56]")
{
    const auto storage = storage::make_memory_storage();
    storage::FaultPlan plan;
    plan.code = ErrorCode::file_write;
    plan.stay_broken = true;
    const auto failing = storage::make_failing_storage(*storage, plan);
    std::uint64_t killed = 0;
    for (bool is_made = false; !is_made; ++killed) {
        plan.count = 0;
        plan.fail_at = killed + 1;
        try {
            Repository::open_or_create(*failing, gcm_setting());
            is_made = true;
        } catch (const Error&) {
            is_made = storage->info(kRepositoryFile).has_value();
        }
    }
    CHECK(killed > 5);
    const auto repository = Repository::open_or_create(*storage, gcm_setting());
    CHECK(Repository::open(*storage, gcm_setting())->id() == repository->id());
}

TEST_CASE("two hosts that make a repository at once end up with one", "[repository][bug-56]")
{
    const auto storage = storage::make_memory_storage();
    const CipherSetting setting = GENERATE(CipherSetting(), gcm_setting());
    const std::string moment = GENERATE("archive", "keys");
    std::string winner;
    InterruptedStorage slow(
        *storage, moment, [&] { winner = Repository::open_or_create(*storage, setting)->id(); });

    const auto late = Repository::open_or_create(slow, setting);

    CHECK(late->id() == winner);
    CHECK(Repository::open(*storage, setting)->id() == winner);
    CHECK(names_in(*storage, "keys").size() == (setting.type == codec::CipherType::none ? 0U : 1U));
    CHECK(names_in(*storage, "copy/keys") == names_in(*storage, "keys"));
}

TEST_CASE("a second slot opens the repository, and a damaged one is in no good one's way",
          "[repository][bug-56][bug-47]")
{
    const MemoryRepository memory(gcm_setting());
    const KeySlot second = make_key_slot(
        "another passphrase", memory.repository->cipher().key, memory.repository->id());
    storage::write_file(*memory.storage, key_path(second.id), as_bytes(encode_key_slot(second)));
    storage::write_file(*memory.storage, key_path("0000000000000000"), as_bytes("{damaged"));

    CHECK(open(memory, gcm_setting())->id() == memory.repository->id());
    CHECK(open(memory, gcm_setting("another passphrase"))->id() == memory.repository->id());
    // With no slot for this passphrase the damaged one may have been it.
    CHECK_THROWS_MATCHES(open(memory, gcm_setting("a third")), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("a repository without any key says so", "[repository][bug-47]")
{
    const MemoryRepository memory(gcm_setting());
    for (const std::string& name : names_in(*memory.storage, "keys")) {
        memory.storage->remove("keys/" + name);
        memory.storage->remove("copy/keys/" + name);
    }
    CHECK_THROWS_MATCHES(open(memory, gcm_setting()), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE("a plain document is refused in an encrypted repository", "[repository][bug-51]")
{
    const MemoryRepository memory(gcm_setting());
    const MemoryRepository plain;
    plain.repository->write_document(kDocumentPath, {{"system-id", 1}});
    memory.replace(kDocumentPath, plain.read(kDocumentPath));
    CHECK_THROWS_MATCHES(
        memory.repository->read_document(kDocumentPath), Error, HasCode(ErrorCode::checksum));

    // And one in the container of a repository without a cipher.
    Buffer object;
    BufferSink sink(object);
    codec::write_object(
        sink, {codec::ObjectKind::document, kDocumentPath}, {}, as_bytes("{}"), nullptr);
    memory.replace(kDocumentPath, object);
    CHECK_THROWS_MATCHES(
        memory.repository->read_document(kDocumentPath), Error, HasCode(ErrorCode::crypto));
}

TEST_CASE("a sealed document opens at its own place only", "[repository][bug-51]")
{
    const MemoryRepository memory(gcm_setting());
    memory.repository->write_document(kDocumentPath, {{"a", 1}});
    memory.replace("archive/demo/15-2/cluster.json", memory.read(kDocumentPath));
    CHECK_THROWS_MATCHES(memory.repository->read_document("archive/demo/15-2/cluster.json"),
                         Error,
                         HasCode(ErrorCode::crypto));
}

TEST_CASE("any changed byte of a sealed document is noticed", "[repository][bug-51][bug-58]")
{
    const MemoryRepository memory(gcm_setting());
    memory.repository->write_document(kDocumentPath, {{"a", 1}});
    const std::size_t size = memory.read(kDocumentPath).size();
    for (std::size_t at = 0; at < size; ++at) {
        memory.flip(kDocumentPath, at);
        CAPTURE(at);
        CHECK_THROWS_AS(memory.repository->read_document(kDocumentPath), Error);
        memory.flip(kDocumentPath, at);
    }
    CHECK_NOTHROW(memory.repository->read_document(kDocumentPath));
}

TEST_CASE("documents are written once unless they are leases", "[repository]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    memory.repository->write_document(kDocumentPath, {{"a", 1}});
    CHECK_THROWS_MATCHES(memory.repository->write_document(kDocumentPath, {{"a", 2}}),
                         Error,
                         HasCode(ErrorCode::file_exists));
    CHECK(memory.repository->read_document(kDocumentPath)["a"] == 1);
    memory.repository->write_document(kDocumentPath, {{"a", 3}}, storage::WriteMode::replace);
    CHECK(memory.repository->read_document(kDocumentPath)["a"] == 3);
    CHECK_THROWS_MATCHES(
        memory.repository->read_document("archive/no"), Error, HasCode(ErrorCode::file_missing));
}
