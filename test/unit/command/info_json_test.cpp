// SPDX-License-Identifier: PostgreSQL
#include "unit/command/info_examples.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace pgstrata;
using namespace pgstrata::test;
using command::InfoDetail;
using command::InfoStatus;
using nlohmann::json;

namespace {

json shown_json(const command::InfoStanza& stanza)
{
    return json::parse(command::render_info_json({stanza}, InfoDetail::full)).at(0);
}

command::InfoBackupDetails details()
{
    command::InfoBackupDetails details;
    details.databases = {{5, "postgres"}, {16384, "shop"}};
    details.links = {{"pg_wal", "/wal"}};
    details.tablespaces = {{"fast", 16385, "/ssd"}};
    return details;
}

} // namespace

TEST_CASE("info without stanzas is an empty array", "[info]")
{
    CHECK(command::render_info_json({}, InfoDetail::full) == "[]");
}

TEST_CASE("info's JSON is compact with sorted keys and no line feed", "[info]")
{
    const std::string expected =
        R"([{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000003",)"
        R"("min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000002",)"
        R"("stop":"000000010000000000000003"},"backrest":{"format":5,"version":"1.0.0"},)"
        R"("change":{"read":26949001,"shared":0,"stored":26949000,"tracking":"full"},)"
        R"("database":{"id":1,"repo-key":1},"error":false,"host":null,"info":{"delta":26949000,)"
        R"("repository":{"delta":3145728,"size":3250586},"size":26948404},"label":"20261121-020000F",)"
        R"("lsn":{"start":"0/2000028","stop":"0/3000050"},"prior":null,"reference":null,)"
        R"("retention":{"class":null,"expires":null,"pinned":false,"schedule":null},"throughput":81663,)"
        R"("timestamp":{"start":1795226400,"stop":1795226730},"type":"full"}],"cipher":"none",)"
        R"("db":[{"id":1,"repo-key":1,"system-id":7710498675978765145,"version":"15"}],)"
        R"("incomplete":[],"name":"main",)"
        R"("repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],)"
        R"("status":{"code":0,"lock":{"backup":{"held":false},"restore":{"held":false}},"message":"ok"},)"
        R"("verify":[],"window":[]}])";

    CHECK(command::render_info_json({make_stanza({make_repository()})}, InfoDetail::full) ==
          expected);
}

TEST_CASE("with detail-level progress only name and status are shown", "[info]")
{
    auto repo = make_repository();
    repo.backup_lock = {true, 1000, 250};

    CHECK(command::render_info_json({make_stanza({repo})}, InfoDetail::progress) ==
          R"([{"name":"main","status":{"code":0,"lock":{"backup":{"held":true,"repo":)"
          R"([{"key":1,"size":1000,"size-cplt":250}],"size":1000,"size-cplt":250},)"
          R"("restore":{"held":false}},"message":"ok"}}])");
}

TEST_CASE("a restore shows in the lock", "[info]")
{
    auto stanza = make_stanza({make_repository()});
    stanza.restore_lock = {true, 8, 4};

    CHECK(shown_json(stanza).at("status").at("lock").at("restore") ==
          json::parse(R"({"held":true,"size":8,"size-cplt":4})"));
}

TEST_CASE("the archive of the current cluster is shown without WAL, of old ones only with",
          "[info]")
{
    auto repo = make_repository();
    repo.archives = {
        {make_cluster(13, 1, 1), {}},
        {make_cluster(14, 2, 1), {"000000010000000000000001", "00000001000000000000000A"}},
        {make_cluster(15, 3, 1), {}}};

    const json stanza = shown_json(make_stanza({repo}));

    CHECK(stanza.at("archive") == json::parse(R"([
        {"database":{"id":2,"repo-key":1},"id":"14-2",
         "max":"00000001000000000000000A","min":"000000010000000000000001"},
        {"database":{"id":3,"repo-key":1},"id":"15-3","max":null,"min":null}])"));
    CHECK(stanza.at("db").size() == 3);
}

TEST_CASE("an unexpected problem is the message of its repository", "[info]")
{
    const json stanza =
        shown_json(make_stanza({make_repository(1), broken_repository(3, InfoStatus::other)}));

    CHECK(stanza.at("status").at("code") == 4);
    CHECK(stanza.at("status").at("message") == "different across repos");
    CHECK(stanza.at("repo").at(1) == json::parse(R"({"cipher":"none","key":3,"status":
        {"code":99,"message":"[FileOpenError] unable to open 'x'\nHINT: look"}})"));
}

TEST_CASE("an offline backup has no WAL and no LSN", "[info]")
{
    auto repo = make_repository();
    repo.backups.front().summary.is_online = false;
    repo.backups.front().summary.start_wal.clear();
    repo.backups.front().summary.stop_wal.clear();

    const json backup = shown_json(make_stanza({repo})).at("backup").at(0);

    CHECK(backup.at("archive") == json::parse(R"({"start":null,"stop":null})"));
    CHECK_FALSE(backup.contains("lsn"));
}

TEST_CASE("a backup tells what it depends on, its errors and annotations", "[info]")
{
    auto repo = make_repository();
    repo.backups = {incremental_backup()};
    repo.backups.front().summary.damaged_files = {"base/5/1259"};
    repo.backups.front().summary.annotations = {{"who", "me"}};

    const json backup = shown_json(make_stanza({repo})).at("backup").at(0);

    CHECK(backup.at("type") == "incr");
    CHECK(backup.at("prior") == "20261121-020000F");
    CHECK(backup.at("reference") ==
          json::parse(R"(["20261121-020000F","20261121-020000F_20261121-023000D"])"));
    CHECK(backup.at("error") == true);
    CHECK_FALSE(backup.contains("error-list"));
    CHECK(backup.at("annotation") == json::parse(R"({"who":"me"})"));
}

TEST_CASE("a single set shows its databases, links, tablespaces and damaged files", "[info]")
{
    auto repo = make_repository();
    repo.backups.front().details = details();
    repo.backups.front().summary.damaged_files = {"base/5/1259"};

    const json backup = shown_json(make_stanza({repo})).at("backup").at(0);

    CHECK(backup.at("database-ref") ==
          json::parse(R"([{"name":"postgres","oid":5},{"name":"shop","oid":16384}])"));
    CHECK(backup.at("link") == json::parse(R"([{"destination":"/wal","name":"pg_wal"}])"));
    CHECK(backup.at("tablespace") ==
          json::parse(R"([{"destination":"/ssd","name":"fast","oid":16385}])"));
    CHECK(backup.at("error-list") == json::parse(R"(["base/5/1259"])"));
}

TEST_CASE("a set without links and tablespaces has null for them", "[info]")
{
    auto repo = make_repository();
    repo.backups.front().details = command::InfoBackupDetails{};

    const json backup = shown_json(make_stanza({repo})).at("backup").at(0);

    CHECK(backup.at("link").is_null());
    CHECK(backup.at("tablespace").is_null());
    CHECK(backup.at("database-ref") == json::array());
}

TEST_CASE("a name that is not UTF-8 does not break the JSON", "[info][bug-6]")
{
    auto repo = make_repository();
    repo.backups.front().details = command::InfoBackupDetails{};
    repo.backups.front().details->databases = {{5, "caf\xe9"}};

    const json backup = shown_json(make_stanza({repo})).at("backup").at(0);

    CHECK(backup.at("database-ref").at(0).at("name") == "caf\xef\xbf\xbd");
}

TEST_CASE("a gap in the archive is a member of its own only where there is one", "[info][bug-20]")
{
    auto repo = make_repository();
    auto stanza = make_stanza({repo});
    const auto archive = [&] {
        return nlohmann::json::parse(command::render_info_json({stanza}, command::InfoDetail::full))
            .at(0)
            .at("archive")
            .at(0);
    };
    CHECK_FALSE(archive().contains("gap"));

    stanza.repositories[0].archives[0].gaps = {
        {"000000010000000000000005", "000000010000000000000007"}};

    CHECK(archive().at("gap") ==
          nlohmann::json::parse(
              R"([{"min":"000000010000000000000005","max":"000000010000000000000007"}])"));
}
