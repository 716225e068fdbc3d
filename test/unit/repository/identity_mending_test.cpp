// SPDX-License-Identifier: PostgreSQL
#include "support/hooked_storage.hpp"
#include "support/recorded_log.hpp"
#include "support/storage_that_dies.hpp"
#include "unit/repository/identity_fixture.hpp"

#include "pgstrata/storage/decorators.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;
using Catch::Contains;

namespace {

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
