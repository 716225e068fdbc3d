// SPDX-License-Identifier: PostgreSQL
#include "unit/command/info_examples.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <ctime>

using namespace pgstrata;
using namespace pgstrata::test;
using command::InfoDetail;
using command::InfoStatus;

namespace {

std::string shown_text(const command::InfoStanza& stanza, InfoDetail detail = InfoDetail::full)
{
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    return command::render_info_text({stanza}, detail);
}

// The lines from `first` on, or nothing.
std::string from(const std::string& text, const std::string& first)
{
    const auto at = text.find(first);
    return at == std::string::npos ? "" : text.substr(at);
}

constexpr const char* kDatabase = R"(
    db (current)
        wal archive min/max (15): 000000010000000000000001/000000010000000000000003
)";

} // namespace

TEST_CASE("info says when there is no stanza", "[info]")
{
    CHECK(command::render_info_text({}, InfoDetail::full) ==
          "No stanzas exist in the repository.\n");
}

TEST_CASE("info's text shows a stanza with its backup", "[info]")
{
    CHECK(shown_text(make_stanza({make_repository()})) == R"(stanza: main
    status: ok
    cipher: none

    db (current)
        wal archive min/max (15): 000000010000000000000001/000000010000000000000003

        full backup: 20261121-020000F
            timestamp start/stop: 2026-11-21 02:00:00+00 / 2026-11-21 02:05:30+00
            wal start/stop: 000000010000000000000002 / 000000010000000000000003
            database size: 25.7MB, database backup size: 25.7MB
            repo1: backup set size: 3.1MB, backup size: 3MB
)");
}

TEST_CASE("stanzas are apart by an empty line", "[info]")
{
    auto second = make_stanza({broken_repository(1, InfoStatus::missing_stanza_path)});
    second.name = "other";

    CHECK(command::render_info_text(
              {make_stanza({broken_repository(1, InfoStatus::missing_stanza_path)}), second},
              InfoDetail::full) == R"(stanza: main
    status: error (missing stanza path)

stanza: other
    status: error (missing stanza path)
)");
}

TEST_CASE("a stanza without backups and WAL says so", "[info]")
{
    auto repo = make_repository();
    repo.status = InfoStatus::no_backup;
    repo.backups.clear();
    repo.archives.front().wal = {};

    CHECK(shown_text(make_stanza({repo})) == R"(stanza: main
    status: error (no valid backups)
    cipher: none

    db (current)
        wal archive min/max (15): none present
)");
}

TEST_CASE("an unexpected problem is shown below the status", "[info]")
{
    CHECK(shown_text(make_stanza({broken_repository(1, InfoStatus::other)})) == R"(stanza: main
    status: error (other)
            [FileOpenError] unable to open 'x'
            HINT: look
    cipher: none
)");
}

TEST_CASE("repositories that differ are told apart", "[info]")
{
    auto sealed = broken_repository(2, InfoStatus::other);
    sealed.cipher = "aes-256-gcm";
    auto good = make_repository();
    good.backups.clear();

    CHECK(shown_text(
              make_stanza({good, sealed, broken_repository(4, InfoStatus::missing_stanza_path)})) ==
          R"(stanza: main
    status: mixed
        repo1: ok
        repo2: error (other)
               [FileOpenError] unable to open 'x'
               HINT: look
        repo4: error (missing stanza path)
    cipher: mixed
        repo1: none
        repo2: aes-256-gcm
        repo4: none
)" + std::string(kDatabase));
}

TEST_CASE("repositories of two clusters are a mismatch", "[info]")
{
    auto other = make_repository(2);
    other.archives.front() = {make_cluster(16, 1, 2), {}};
    other.backups.clear();
    auto first = make_repository();
    first.backups.clear();

    CHECK(shown_text(make_stanza({first, other})) == R"(stanza: main
    status: error (database mismatch across repos)
        repo1: ok
        repo2: ok
    cipher: none

    db (current)
        wal archive min/max (15): 000000010000000000000001/000000010000000000000003

    db (current)
        wal archive min/max (16): none present
)");
}

TEST_CASE("the status tells what runs", "[info]")
{
    auto repo = make_repository();
    auto stanza = make_stanza({repo});
    const auto status = [](const command::InfoStanza& shown) {
        const std::string text = shown_text(shown, InfoDetail::progress);
        return text.substr(text.find("status: ") + 8);
    };

    CHECK(status(stanza) == "ok\n");
    stanza.repositories.front().backup_lock.is_held = true;
    CHECK(status(stanza) == "ok (backup/expire running)\n");
    stanza.repositories.front().backup_lock = {true, 10000, 1234};
    CHECK(status(stanza) == "ok (backup/expire running - 12.34% complete)\n");
    stanza.restore_lock = {true, 200, 1};
    CHECK(status(stanza) ==
          "ok (backup/expire running - 12.34% complete, restore running - 0.50% complete)\n");
    stanza.repositories.front().status = InfoStatus::no_backup;
    stanza.restore_lock = {};
    CHECK(status(stanza) == "error (no valid backups, backup/expire running - 12.34% complete)\n");
}

TEST_CASE("two running backups are shown one by one", "[info]")
{
    auto first = make_repository(1);
    auto second = make_repository(2);
    first.backup_lock = {true, 1000, 500};
    second.backup_lock = {true, 1000, 1000};

    CHECK(shown_text(make_stanza({first, second}), InfoDetail::progress) == R"(stanza: main
    status: ok (backup/expire running - 75.00% complete)
        repo1 backup: 50.00% complete
        repo2 backup: 100.00% complete
)");
}

TEST_CASE("with detail-level progress repositories that differ are an error", "[info]")
{
    CHECK(shown_text(make_stanza({make_repository(), broken_repository(2, InfoStatus::other)}),
                     InfoDetail::progress) == R"(stanza: main
    status: error (different across repos)
)");
}

TEST_CASE("an old cluster is shown as long as something of it is left", "[info]")
{
    auto repo = make_repository();
    repo.archives = {
        {make_cluster(13, 1, 1), {}},
        {make_cluster(14, 2, 1), {"000000010000000000000001", "000000010000000000000002"}},
        {make_cluster(15, 3, 1), {}}};
    repo.backups.clear();

    CHECK(from(shown_text(make_stanza({repo})), "\n    db") == R"(
    db (prior)
        wal archive min/max (14): 000000010000000000000001/000000010000000000000002

    db (current)
        wal archive min/max (15): none present
)");
}

TEST_CASE("the WAL of one cluster in two repositories is one range", "[info]")
{
    auto first = make_repository(1);
    auto second = make_repository(2);
    first.backups.clear();
    second.backups.clear();
    second.archives.front().wal = {"000000010000000000000002", "000000010000000000000009"};

    CHECK(from(shown_text(make_stanza({second, first})), "        wal archive") ==
          "        wal archive min/max (15): 000000010000000000000001/000000010000000000000009\n");
}

TEST_CASE("a backup that needs others counts them, a single set names them", "[info]")
{
    auto repo = make_repository();
    repo.backups = {incremental_backup()};
    CHECK(from(shown_text(make_stanza({repo})), "            backup ref") ==
          "            backup reference total: 1 full, 1 diff\n");

    CHECK_THAT(
        shown_text(make_stanza({repo})),
        Catch::Contains("            changes: 2MB read, 80KB stored, 25.6MB shared (summary)\n"));

    repo.backups.front().details = command::InfoBackupDetails{};
    CHECK(from(shown_text(make_stanza({repo})), "            backup ref") ==
          R"(            backup reference list: 20261121-020000F, 20261121-020000F_20261121-023000D
            database list: none
)");
}

TEST_CASE("an offline backup has no WAL", "[info]")
{
    auto repo = make_repository();
    repo.backups.front().summary.is_online = false;
    repo.backups.front().summary.start_wal.clear();

    CHECK(from(shown_text(make_stanza({repo})), "            wal start")
              .starts_with("            wal start/stop: n/a\n"));
}

TEST_CASE("damage is told of, and by name for a single set", "[info]")
{
    auto repo = make_repository();
    repo.backups.front().summary.damaged_files = {"base/1/1259", "base/5/1260"};
    CHECK(from(shown_text(make_stanza({repo})), "            error") ==
          "            error(s) detected during backup\n");

    repo.backups.front().details = command::InfoBackupDetails{};
    CHECK(from(shown_text(make_stanza({repo})), "            error") ==
          "            error list: base/1/1259, base/5/1260\n");
}

TEST_CASE("a single set shows everything that is known of it", "[info]")
{
    auto repo = make_repository();
    command::InfoBackup& backup = repo.backups.front();
    backup.summary.annotations = {{"source", "cron"}, {"who", "me"}};
    backup.details.emplace();
    backup.details->databases = {{5, "postgres"}, {16384, "shop"}};
    backup.details->links = {{"pg_wal", "/wal"}};
    backup.details->tablespaces = {{"fast", 16385, "/ssd"}};

    CHECK(from(shown_text(make_stanza({repo})), "            lsn") ==
          R"(            lsn start/stop: 0/2000028 / 0/3000050
            database size: 25.7MB, database backup size: 25.7MB
            repo1: backup set size: 3.1MB, backup size: 3MB
            database list: postgres (5), shop (16384)
            symlinks:
                pg_wal => /wal
            tablespaces:
                fast (16385) => /ssd
            annotation(s)
                source: cron
                who: me
)");
}

TEST_CASE("WAL that was dropped is shown as a gap, once for all repositories", "[info][bug-20]")
{
    auto first = make_repository();
    first.archives[0].gaps = {{"000000010000000000000005", "000000010000000000000007"}};
    auto second = make_repository(2);
    second.archives[0].gaps = {{"000000010000000000000005", "000000010000000000000007"},
                               {"000000010000000000000009", "000000010000000000000009"}};

    CHECK_THAT(shown_text(make_stanza({first, second})),
               Catch::Contains(std::string(kDatabase) +
                               "        wal archive gap (dropped) min/max: "
                               "000000010000000000000005/000000010000000000000007\n"
                               "        wal archive gap (dropped) min/max: "
                               "000000010000000000000009/000000010000000000000009\n"));
}
