// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <regex>
#include <set>

using namespace pgstrata::test;

namespace {

using nlohmann::json;

std::set<std::string> keys(const json& object)
{
    std::set<std::string> result;
    for (const auto& [key, value] : object.items()) {
        result.insert(key);
    }
    return result;
}

using Keys = std::set<std::string>;

} // namespace

TEST_CASE("info without any stanza says so in both forms", "[info]")
{
    Site site({.is_ready = false});
    const auto program = program_under_test();
    const auto config = "--config=" + site.configuration();

    CHECK(run_or_throw({program, config, "info", "--output=json"}).out == "[]");
    CHECK(run_or_throw({program, config, "info"}).out == "No stanzas exist in the repository.\n");
}

TEST_CASE("info reports a missing stanza and one without backups with status 0", "[info]")
{
    Site site({.is_ready = false});
    CHECK(site.info().at("status").at("code") == 1);

    site.cluster().start();
    site.must({"stanza-create"});

    CHECK(site.info().at("status").at("code") == 2);
    CHECK(site.info().at("backup").empty());
}

TEST_CASE("info's JSON has every key that monitors read, with its type", "[info][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.cipher = "aes-256-gcm", .place = place});
    site.backup({"--type=full", "--annotation=who=me"});
    site.cluster().archive_current_segment();

    const auto result = site.must({"info", "--output=json"});
    CHECK(result.out.back() == ']');
    CHECK(result.err.empty());
    const auto stanza = json::parse(result.out).at(0);
    CHECK(keys(stanza) == Keys{"archive",
                               "backup",
                               "cipher",
                               "db",
                               "incomplete",
                               "name",
                               "repo",
                               "status",
                               "verify",
                               "window"});
    CHECK(stanza.at("name") == "main");
    CHECK(stanza.at("cipher") == "aes-256-gcm");
    const auto lock = json::parse(R"({"backup":{"held":false},"restore":{"held":false}})");
    CHECK(stanza.at("status").at("code") == 0);
    CHECK(stanza.at("status").at("message") == "ok");
    CHECK(stanza.at("status").at("lock").at("backup").at("held") == false);

    const auto& archive = stanza.at("archive").at(0);
    CHECK(keys(archive) == Keys{"database", "id", "max", "min"});
    CHECK(archive.at("id") == "15-1");
    CHECK(archive.at("database") == json::parse(R"({"id":1,"repo-key":1})"));
    const auto& db = stanza.at("db").at(0);
    CHECK(keys(db) == Keys{"id", "repo-key", "system-id", "version"});
    CHECK(db.at("version") == "15");
    CHECK(db.at("system-id").is_number_unsigned());
    CHECK(std::to_string(db.at("system-id").get<std::uint64_t>()) ==
          site.cluster().sql("SELECT system_identifier FROM pg_control_system()"));
    CHECK(stanza.at("repo") ==
          json::parse(R"([{"cipher":"aes-256-gcm","key":1,"status":{"code":0,"message":"ok"}}])"));
}

TEST_CASE("info's JSON describes a backup as monitors expect it", "[info]")
{
    Site site;
    const auto label = site.backup({"--type=full", "--annotation=who=me"});

    const auto backup = site.info().at("backup").at(0);

    CHECK(keys(backup) == Keys{"annotation",
                               "archive",
                               "backrest",
                               "change",
                               "database",
                               "error",
                               "host",
                               "info",
                               "label",
                               "lsn",
                               "prior",
                               "reference",
                               "retention",
                               "throughput",
                               "timestamp",
                               "type"});
    CHECK(std::regex_match(label, std::regex("[0-9]{8}-[0-9]{6}F")));
    CHECK(backup.at("label") == label);
    CHECK(backup.at("type") == "full");
    CHECK(backup.at("prior").is_null());
    CHECK(backup.at("reference").is_null());
    CHECK(backup.at("error") == false);
    CHECK(backup.at("annotation") == json{{"who", "me"}});
    CHECK(keys(backup.at("archive")) == Keys{"start", "stop"});
    CHECK(backup.at("archive").at("start").get<std::string>().size() == 24);
    CHECK(std::regex_match(backup.at("lsn").at("start").get<std::string>(),
                           std::regex("[0-9A-F]+/[0-9A-F]+")));
    CHECK(backup.at("timestamp").at("start").is_number_integer());
    CHECK(backup.at("timestamp").at("start") <= backup.at("timestamp").at("stop"));
    CHECK(backup.at("backrest").at("format").is_number_integer());
    CHECK(backup.at("backrest").at("version").is_string());
    CHECK(backup.at("info").at("size").get<std::uint64_t>() > 20'000'000);
    CHECK(backup.at("info").at("delta") <= backup.at("info").at("size"));
    CHECK(backup.at("info").at("repository").at("delta") < backup.at("info").at("size"));

    const auto detail = site.info({"--set=" + label}).at("backup").at(0);
    CHECK(detail.at("database-ref").at(0).at("name") == "postgres");
    CHECK(detail.at("link").is_null());
    CHECK(detail.at("tablespace").is_null());
}

TEST_CASE("info's text has the layout that people and scripts know", "[info]")
{
    Site site;
    site.backup();

    const auto text = site.must({"info"}).out;

    const std::regex layout(R"(stanza: main
    status: ok
    cipher: none

    db \(current\)
        wal archive min/max \(15\): [0-9A-F]{24}/[0-9A-F]{24}
        window: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d(:\d\d)? / \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d(:\d\d)?

        full backup: [0-9]{8}-[0-9]{6}F
            timestamp start/stop: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d(:\d\d)? / \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d(:\d\d)?
            wal start/stop: [0-9A-F]{24} / [0-9A-F]{24}
            database size: [0-9.]+MB, database backup size: [0-9.]+MB
            repo1: (backup set size: [0-9.]+[KM]B, )?backup size: [0-9.]+[KM]B
            host: \S+(, [0-9.]+[KM]B/s read)?
)");
    CAPTURE(text);
    CHECK(std::regex_match(text, layout));
}

TEST_CASE("an annotation stays on its line of info's text", "[info]")
{
    Site site;
    const auto label = site.backup();
    site.must({"annotate", "--set=" + label, "--annotation=note=a\nstatus: ok\tb"});

    const auto text = site.must({"info", "--set=" + label}).out;

    CHECK_THAT(text, Catch::Contains("                note: a\\x0Astatus: ok\\x09b\n"));
}

TEST_CASE("info of a set that does not exist has a status of its own", "[info]")
{
    Site site;
    site.backup();

    CHECK(site.info({"--set=20000101-000000F"}).at("status").at("code") == 6);
}
