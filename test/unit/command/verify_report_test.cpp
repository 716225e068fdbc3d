// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"

#include "pgstrata/command/verify_report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <limits>

using namespace pgstrata;
using namespace pgstrata::command;
using pgstrata::test::HasCode;

namespace {

constexpr auto kAll = std::numeric_limits<std::uint32_t>::max();

engine::VerifyReport sound_report()
{
    engine::VerifyReport report;
    report.stanza = "demo";
    report.bytes = 1000;
    engine::VerifiedArchive archive;
    archive.id = {15, 1};
    archive.checked = 7;
    archive.valid = 7;
    report.archives.push_back(archive);
    engine::VerifiedBackup backup;
    backup.label = "20261121-020000F";
    backup.files = 900;
    backup.valid_files = 900;
    backup.last_wal = "000000010000000000000009";
    backup.timeline = 1;
    report.backups.push_back(backup);
    backup.label = "20261122-020000F";
    backup.state = engine::BackupState::in_progress;
    backup.is_restorable = false;
    backup.files = backup.valid_files = 0;
    backup.last_wal.clear();
    report.backups.push_back(backup);
    return report;
}

engine::VerifyReport hurt_report()
{
    engine::VerifyReport report = sound_report();
    report.faults.push_back({engine::FaultKind::other, "keys/1.json", "bad key"});
    engine::VerifiedArchive& archive = report.archives[0];
    archive.valid = 6;
    archive.faults.push_back({engine::FaultKind::checksum, "archive/x", "bad WAL"});
    archive.gaps = {{"000000010000000000000003", "000000010000000000000005"},
                    {"000000010000000000000008", "000000010000000000000008"}};
    archive.lost_histories = {10};
    engine::VerifiedBackup& backup = report.backups[0];
    backup.state = engine::BackupState::invalid;
    backup.is_restorable = false;
    backup.valid_files = 898;
    backup.faults.push_back({engine::FaultKind::size, "backup/p", "too short"});
    backup.lost = {{"base/1/2", {{3, 6}, {9, 10}}}, {"PG_VERSION", {{0, kAll}}}};
    backup.missing_wal = {{"000000010000000000000003", "000000010000000000000003"}};
    return report;
}

} // namespace

TEST_CASE("verify says nothing when all is fine", "[command][verify]")
{
    CHECK(render_verify_text(sound_report(), Verbosity::findings).empty());
}

TEST_CASE("verify tells what it cannot read from what is damaged", "[command][verify]")
{
    engine::VerifyReport report = sound_report();
    report.archives[0].faults.push_back(
        {engine::FaultKind::unreadable, "archive/x", "permission denied"});

    const std::string text = render_verify_text(report, Verbosity::findings);
    CHECK_THAT(text, Catch::Contains("    unreadable: archive/x: permission denied\n"));
    CHECK_THAT(text,
               Catch::Contains("missing: 0, checksum invalid: 0, size invalid: 0, other: 1\n"));
    const auto shown = nlohmann::json::parse(render_verify_json(report));
    CHECK(shown["archive"][0]["fault"][0]["kind"] == "unreadable");
}

TEST_CASE("verify shows what is fine when it is asked to", "[command][verify]")
{
    CHECK(render_verify_text(sound_report(), Verbosity::all) ==
          "stanza: demo\n"
          "status: ok\n"
          "  archiveId: 15-1, total WAL checked: 7, total valid WAL: 7\n"
          "  backup: 20261121-020000F, status: valid, total files checked: 900, total valid "
          "files: 900\n"
          "    WAL goes on to 000000010000000000000009 on the way to timeline 1\n"
          "  backup: 20261122-020000F, status: in-progress, total files checked: 0, total valid "
          "files: 0\n"
          "  backups that can be restored: 20261121-020000F\n"
          "  backups that cannot be restored: none\n"
          "  depth: full\n");
}

TEST_CASE("verify names what is wrong", "[command][verify][bug-58]")
{
    CHECK(render_verify_text(hurt_report(), Verbosity::findings) ==
          "stanza: demo\n"
          "status: error\n"
          "    damaged: keys/1.json: bad key\n"
          "  archiveId: 15-1, total WAL checked: 7, total valid WAL: 6\n"
          "    missing: 3, checksum invalid: 1, size invalid: 0, other: 0\n"
          "    damaged: archive/x: bad WAL\n"
          "    gap: 000000010000000000000003 - 000000010000000000000005\n"
          "    gap: 000000010000000000000008\n"
          "    history missing: 0000000A.history\n"
          "  backup: 20261121-020000F, status: invalid, total files checked: 900, total valid "
          "files: 898\n"
          "    missing: 1, checksum invalid: 0, size invalid: 1, other: 0\n"
          "    damaged: backup/p: too short\n"
          "    lost: base/1/2, pages 3-5, 9\n"
          "    lost: PG_VERSION\n"
          "    WAL missing: 000000010000000000000003\n"
          "  backups that can be restored: none\n"
          "  backups that cannot be restored: 20261121-020000F\n"
          "  depth: full\n");
}

TEST_CASE("verify says when there is nothing", "[command][verify]")
{
    engine::VerifyReport report;
    report.stanza = "demo";

    const std::string text = render_verify_text(report, Verbosity::all);

    CHECK(text.find("  archiveId: none found\n  backup: none found\n") != std::string::npos);
}

TEST_CASE("verify says at which depth it has read", "[command][verify]")
{
    const auto [depth, name] = GENERATE(table<repository::VerifyDepth, std::string>({
        {repository::VerifyDepth::quick, "quick"},
        {repository::VerifyDepth::full, "full"},
    }));
    engine::VerifyReport report = sound_report();
    report.depth = depth;

    CHECK(render_verify_text(report, Verbosity::all).ends_with("\n  depth: " + name + "\n"));
    CHECK(nlohmann::json::parse(render_verify_json(report))["depth"] == name);
}

TEST_CASE("verify's JSON has the same facts", "[command][verify]")
{
    const std::string text = render_verify_json(hurt_report());
    CHECK(text.find(": ") == std::string::npos); // "bad key" and such have no colon
    CHECK(text.back() == '\n');
    const auto shown = nlohmann::json::parse(text);

    CHECK(shown["status"] == "error");
    CHECK(shown["findings"] == 9); // 1, 1 + 2 + 1, 1 + 2 + 1
    CHECK(shown["fault"][0]["object"] == "keys/1.json");
    CHECK(shown["archive"][0]["id"] == "15-1");
    CHECK(shown["archive"][0]["gap"][0]["stop"] == "000000010000000000000005");
    CHECK(shown["archive"][0]["history-missing"][0] == "0000000A.history");
    const auto& backup = shown["backup"][0];
    CHECK(backup["label"] == "20261121-020000F");
    CHECK(backup["status"] == "invalid");
    CHECK(backup["restorable"] == false);
    CHECK(backup["checked"] == 900);
    CHECK(backup["valid"] == 898);
    CHECK(backup["fault"][0]["kind"] == "size");
    CHECK(backup["lost"][0]["page"] == nlohmann::json::parse("[[3,5],[9,9]]"));
    CHECK(backup["lost"][1]["page"].is_null());
    CHECK(backup["wal-missing"][0]["start"] == "000000010000000000000003");
    CHECK(shown["backup"][1]["status"] == "in-progress");

    const auto sound = nlohmann::json::parse(render_verify_json(sound_report()));
    CHECK(sound["status"] == "ok");
    CHECK(sound["findings"] == 0);
    CHECK(sound["backup"][0]["wal"]["last"] == "000000010000000000000009");
}

TEST_CASE("a sample is a share in percent", "[command][verify]")
{
    CHECK(parse_sample("5%") == 5);
    CHECK(parse_sample("0.5%") == 0.5);
    CHECK(parse_sample("100%") == 100);
    const auto* text = GENERATE("", "%", "5", "0%", "100.1%", "-1%", "5%%", "5 %", "nan%", "1e1%");
    CHECK_THROWS_MATCHES(parse_sample(text), Error, HasCode(ErrorCode::option_invalid_value));
}
