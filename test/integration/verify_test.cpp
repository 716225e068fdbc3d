// SPDX-License-Identifier: PostgreSQL
#include "support/data_directory_comparison.hpp"
#include "support/site.hpp"

#include <catch2/catch.hpp>
#include <fmt/core.h>

#include <filesystem>

using namespace pgstrata::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

// Changes a byte in the middle.
void damage(const Site& site, const std::string& path)
{
    std::string bytes = site.read_object(path);
    bytes.at(bytes.size() / 2) ^= 1;
    site.replace_object(path, bytes);
}

nlohmann::json verify_json(const Site& site, const std::vector<std::string>& more = {})
{
    std::vector<std::string> arguments = {"verify", "--output=json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(site.run(arguments).out);
}

nlohmann::json backup_of(const nlohmann::json& report, const std::string& label)
{
    for (const auto& backup : report.at("backup")) {
        if (backup.at("label") == label) {
            return backup;
        }
    }
    return nullptr;
}

// The largest pack of a backup, relative to the repository.
std::string largest_pack(const Site& site, const std::string& label)
{
    std::string largest;
    std::size_t size = 0;
    for (const std::string& path : site.objects("/" + label + "/pack/")) {
        const auto its = site.read_object(path).size();
        if (its > size) {
            size = its;
            largest = path;
        }
    }
    return largest;
}

} // namespace

TEST_CASE("verify is silent about a sound repository", "[verify][s3]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    const std::string cipher = place.open ? "aes-256-gcm" : GENERATE("", "aes-256-gcm");
    Site site({.cipher = cipher, .place = place});
    const std::string full = site.backup();
    site.cluster().sql("CREATE TABLE t AS SELECT generate_series(1, 10000) AS i");
    const std::string incr = site.backup({"--type=incr"});

    CHECK(site.must({"verify"}).out.empty());
    CHECK(site.must({"verify", "--output=text"}).out.empty());
    const std::string text = site.must({"verify", "--output=text", "--verbose"}).out;
    CHECK_THAT(text, Contains("stanza: main\nstatus: ok\n  archiveId: 15-1, total WAL checked: "));
    CHECK_THAT(text, Contains("  backup: " + full + ", status: valid, total files checked: "));
    CHECK_THAT(text, Contains("  backups that can be restored: " + full + ", " + incr + "\n"));
    const auto report = verify_json(site);
    CHECK(report["status"] == "ok");
    CHECK(backup_of(report, incr)["checked"] == backup_of(report, incr)["valid"]);
    CHECK(verify_json(site, {"--set=" + incr})["backup"].size() == 1);
    CHECK(site.run({"verify", "--sample=10%"}).status == 0);
    CHECK(site.run({"verify", "--sample=10"}).status == 32);
    CHECK(site.run({"verify", "--set=20200101-000000F"}).status == 75);
}

TEST_CASE("verify shows a backup that is not complete only when it shows everything", "[verify]")
{
    Site site;
    site.backup();
    const std::string unfinished = "20990101-000000F";
    const auto place = site.repository() + "/backup/main/" + unfinished + "/pack";
    fs::create_directories(place);
    write_file(place + "/000000", "half");

    const auto brief = site.run({"verify", "--output=text"});
    const auto verbose = site.run({"verify", "--output=text", "--verbose"});

    CHECK(brief.status == 0);
    CHECK(brief.out.empty());
    CHECK(verbose.status == 0);
    CHECK_THAT(verbose.out, Contains("backup: " + unfinished + ", status: in-progress"));
    CHECK_THAT(verbose.out, Contains("backups that cannot be restored: none"));
}

TEST_CASE("what verify finds damaged the next backup stores anew", "[verify][s3][bug-58]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    site.cluster().sql(
        "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 100000) AS i");
    const std::string full = site.backup();
    const std::string pack = largest_pack(site, full);
    damage(site, pack);

    const auto found = site.run({"verify", "--output=text"});

    CHECK(found.status == kVerifyFindings);
    CHECK_THAT(found.out, Contains("status: error\n"));
    CHECK_THAT(found.out, Contains("  backup: " + full + ", status: invalid"));
    CHECK_THAT(found.out, Contains("    damaged: " + pack + ": "));
    CHECK_THAT(found.out, Contains("    lost: "));
    CHECK_THAT(found.out, Contains("  backups that cannot be restored: " + full + "\n"));
    CHECK_THAT(found.err, Contains("[104]"));
    CHECK_THAT(found.err, Contains("HINT"));
    const auto hurt = backup_of(verify_json(site), full);
    CHECK(hurt["restorable"] == false);
    CHECK(hurt["fault"][0]["object"] == pack);
    const std::string lost = hurt["lost"][0]["file"];

    const auto backup = site.must({"backup", "--type=incr"});
    CHECK_THAT(backup.text(), Contains("'" + lost + "' is damaged in backup " + full));
    const std::string incr = site.labels().back();
    CHECK(site.run({"verify", "--set=" + incr}).status == 0);
    const auto after = verify_json(site);
    CHECK(backup_of(after, full)["restorable"] == false);
    CHECK(backup_of(after, incr)["restorable"] == true);

    const std::string rows = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY i)) FROM t";
    const std::string before = site.cluster().sql(rows);
    site.cluster().stop();
    Cluster restored =
        site.restore({"--set=" + incr, "--type=immediate", "--target-action=promote"});
    restored.start();
    restored.wait_until_promoted();
    CHECK(restored.sql(rows) == before);
}

TEST_CASE("verify names what it may not read, and no backup stores it anew", "[verify][bug-58]")
{
    Site site;
    site.cluster().sql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS i");
    const std::string full = site.backup();
    const std::string pack = largest_pack(site, full);
    const fs::path refused = fs::path(site.repository()) / pack;
    fs::permissions(refused, fs::perms::none);

    const auto found = site.run({"verify", "--output=text"});

    CHECK(found.status == kVerifyFindings);
    CHECK_THAT(found.out, Contains("    unreadable: " + pack + ": unable to open "));
    CHECK_THAT(found.out, Contains("Permission denied"));
    CHECK_THAT(found.out, !Contains("damaged: "));
    CHECK_THAT(found.out, Contains("  backups that cannot be restored: " + full + "\n"));

    fs::permissions(refused, fs::perms::owner_read);
    const auto backup = site.must({"backup", "--type=incr"});
    CHECK_THAT(backup.text(), !Contains("is damaged in backup"));
    CHECK(site.run({"verify"}).status == 0);
}

TEST_CASE("a quick verify proves stored bytes, and the next backup mends what it finds",
          "[verify][bug-58]")
{
    const std::string cipher = GENERATE("", "aes-256-gcm");
    Site site({.cipher = cipher});
    const std::string full = site.backup();
    site.cluster().archive_current_segment();

    CHECK(site.must({"verify", "--depth=quick"}).out.empty());
    const auto sound = verify_json(site, {"--depth=quick"});
    CHECK(sound["depth"] == "quick");
    CHECK(sound["status"] == "ok");
    CHECK(sound["archive"][0]["checked"] == sound["archive"][0]["valid"]);
    CHECK(verify_json(site)["depth"] == "full");
    CHECK(site.run({"verify", "--depth=deep"}).status == 32);
    CHECK(site.run({"verify", "--depth=quick", "--sample=10%"}).status == 0);

    const std::string pack = largest_pack(site, full);
    damage(site, pack);
    const auto found = site.run({"verify", "--depth=quick", "--output=text"});
    CHECK(found.status == kVerifyFindings);
    CHECK_THAT(found.out, Contains("    damaged: " + pack + ": "));
    CHECK_THAT(found.out, Contains("    lost: "));
    CHECK_THAT(found.out, Contains("  depth: quick\n"));
    const auto backup = site.must({"backup", "--type=incr"});
    CHECK_THAT(backup.text(), Contains("is damaged in backup " + full));
    CHECK(site.run({"verify", "--depth=quick", "--set=" + site.labels().back()}).status == 0);
}

TEST_CASE("verify names the pack that is gone", "[verify][s3][bug-47]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const std::string label = site.backup();
    const std::string pack = largest_pack(site, label);
    site.remove_object(pack);

    const auto found = site.run({"verify", "--output=text"});

    CHECK(found.status == kVerifyFindings);
    CHECK_THAT(found.out, Contains(pack + ": "));
    CHECK_THAT(found.out, Contains("  backups that cannot be restored: " + label + "\n"));
}

TEST_CASE("verify tells of WAL that is missing", "[verify][s3][bug-20]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    Site site({.place = place});
    const std::string label = site.backup();
    site.cluster().archive_current_segment();
    const std::string missing = site.cluster().archive_current_segment();
    site.cluster().archive_current_segment();
    site.remove_object(site.objects(missing + "-").at(0));

    const auto found = site.run({"verify", "--output=text"});

    CHECK(found.status == kVerifyFindings);
    CHECK_THAT(found.out, Contains("    gap: " + missing + "\n"));
    CHECK_THAT(found.out, Contains("  backups that can be restored: " + label + "\n"));
    const auto report = verify_json(site);
    CHECK(report["archive"][0]["gap"][0]["start"] == missing);
    CHECK(backup_of(report, label)["wal"]["gap"] == true);
}

TEST_CASE("too few file descriptors end verify with their own error and no finding",
          "[verify][bug-58]")
{
    Site site;
    site.backup();
    const std::string close_inherited = "for fd in 3 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; ";
    // Wherever it is that the last one is taken: a library, a directory, a pack.
    for (const unsigned limit : {5U, 6U, 7U, 7U, 7U, 7U, 8U, 8U, 9U, 10U, 12U}) {
        const auto before = site.objects("verify/");

        const auto result =
            run_process({"/bin/sh",
                         "-c",
                         fmt::format("{}ulimit -n {}; exec \"$@\"", close_inherited, limit),
                         "sh",
                         program_under_test(),
                         "--config=" + site.configuration(),
                         "--stanza=main",
                         "--process-max=4",
                         "--output=text",
                         "verify"});

        CAPTURE(limit, result.text());
        if (result.status == 0) {
            CHECK(limit > 8); // less than four workers had something to do
            continue;
        }
        CHECK(result.status == 100);
        CHECK_THAT(result.text(), Contains("Too many open files") && Contains("ulimit -n"));
        CHECK(site.objects("verify/") == before);
    }
    CHECK(site.must({"verify"}).out.empty());
}
