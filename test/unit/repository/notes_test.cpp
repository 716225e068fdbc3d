// SPDX-License-Identifier: PostgreSQL
#include "support/interrupted_storage.hpp"
#include "support/matchers.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/repository/notes.hpp"

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

void write_backup(const MemoryRepository& memory)
{
    BackupSummary summary;
    summary.label = kLabel;
    summary.archive_id = {15, 1};
    summary.annotations = {{"by", "cron"}, {"why", "nightly"}};
    summary.schedule = "daily";
    summary.retain = 60;
    write_summary(*memory.repository, kStanza, summary);
}

BackupSummary read_back(const MemoryRepository& memory)
{
    auto summary = read_summary(*memory.repository, kStanza, kLabel);
    REQUIRE(summary);
    return std::move(*summary);
}

} // namespace

TEST_CASE("a backup without notes is what its summary says", "[repository][notes]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    write_backup(memory);

    const BackupSummary summary = read_back(memory);

    CHECK(summary.schedule == "daily");
    CHECK(summary.retain == 60);
    CHECK_FALSE(summary.is_pinned);
    CHECK(summary.annotations.size() == 2);
}

TEST_CASE("the newest note that mentions a thing decides it", "[repository][notes]")
{
    const MemoryRepository memory(GENERATE(CipherSetting(), gcm_setting()));
    write_backup(memory);

    BackupNote pin;
    pin.time = 1000;
    pin.host = "db1";
    pin.is_pinned = true;
    write_note(*memory.repository, kStanza, kLabel, pin);
    BackupNote change;
    change.annotations = {{"by", ""}, {"why", "before the upgrade"}, {"ticket", "7"}};
    change.retain = 0;
    write_note(*memory.repository, kStanza, kLabel, change);

    BackupSummary summary = read_back(memory);
    CHECK(summary.is_pinned);
    CHECK(summary.retain == 0);
    CHECK(summary.annotations ==
          std::map<std::string, std::string>{{"ticket", "7"}, {"why", "before the upgrade"}});

    BackupNote unpin;
    unpin.is_pinned = false;
    write_note(*memory.repository, kStanza, kLabel, unpin);
    CHECK_FALSE(read_back(memory).is_pinned);
    const auto notes = read_notes(*memory.repository, kStanza, kLabel);
    REQUIRE(notes.size() == 3);
    CHECK(notes.front().time == 1000);
    CHECK(notes.front().host == "db1");
}

TEST_CASE("a note that was written by somebody else meanwhile is not written over",
          "[repository][notes]")
{
    const MemoryRepository memory;
    write_backup(memory);
    BackupNote note;
    note.annotations = {{"a", "1"}};
    for (int i = 0; i < 12; ++i) {
        write_note(*memory.repository, kStanza, kLabel, note);
    }
    CHECK(read_notes(*memory.repository, kStanza, kLabel).size() == 12);
}

TEST_CASE("only a complete backup gets notes", "[repository][notes]")
{
    const MemoryRepository memory;
    storage::write_file(*memory.storage, manifest_path(kStanza, kLabel), as_bytes("x"));

    CHECK_THROWS_MATCHES(write_note(*memory.repository, kStanza, kLabel, BackupNote()),
                         Error,
                         HasCode(ErrorCode::file_missing));
}

TEST_CASE("a damaged note is an error of the backup, since it may have been a pin",
          "[repository][notes][bug-47]")
{
    const MemoryRepository memory;
    write_backup(memory);
    storage::write_file(*memory.storage, note_path(kStanza, kLabel, 1), as_bytes("{}\n"));

    CHECK_THROWS_MATCHES(
        read_summary(*memory.repository, kStanza, kLabel), Error, HasCode(ErrorCode::checksum));
}

TEST_CASE("names of notes are numbers of four digits or more", "[repository][notes]")
{
    CHECK(note_path(kStanza, kLabel, 7) == "backup/demo/20261121-020000F/notes/0007.json");
    CHECK(parse_note_name("0007.json") == 7);
    CHECK(parse_note_name("12345.json") == 12345);
    for (const auto* name :
         {"7.json", "0007", "00007.json", "-007.json", "000x.json", ".json", ""}) {
        CAPTURE(name);
        CHECK_FALSE(parse_note_name(name));
    }
}

TEST_CASE("a note of a backup that is removed at this very moment is refused",
          "[repository][notes][bug-28]")
{
    const MemoryRepository memory;
    write_backup(memory);
    InterruptedStorage storage(*memory.storage, notes_path(kStanza, kLabel), [&] {
        memory.storage->remove(summary_path(kStanza, kLabel));
    });
    const auto repository = Repository::open(storage, {});
    CHECK_THROWS_MATCHES(write_note(*repository, kStanza, kLabel, {}),
                         Error,
                         HasCode(ErrorCode::backup_set_invalid));
}
