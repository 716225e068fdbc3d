// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

// The identity of a repository, its keys, and what it knows of its clusters are kept twice.

using namespace pgstrata::test;
using Catch::Contains;

namespace {

// The objects that are kept twice, and their copies.
std::vector<std::string> twins(const Site& site)
{
    std::vector<std::string> paths = site.objects("keys/");
    const auto identities = site.objects("pgstrata.json");
    paths.insert(paths.end(), identities.begin(), identities.end());
    const auto clusters = site.objects("/cluster.json");
    paths.insert(paths.end(), clusters.begin(), clusters.end());
    return paths;
}

void lose(const Site& site, const std::string& path, bool is_removed)
{
    if (is_removed) {
        site.remove_object(path);
        return;
    }
    std::string bytes = site.read_object(path);
    bytes.at(bytes.size() / 2) ^= 1;
    site.replace_object(path, bytes);
}

// All that must go on, and whether each run warned of the object.
void check_all_works(Site& site,
                     const std::string& path,
                     const std::string& segment,
                     bool is_warned)
{
    const std::vector<std::vector<std::string>> commands{
        {"backup", "--type=incr"},
        {"archive-get", segment, site.new_path("got")},
        {"restore", "--pg1-path=" + site.new_path("target"), "--type=default"},
        {"expire"},
        {"check"}};
    for (const auto& command : commands) {
        CAPTURE(command.at(0));
        const auto result = site.run(command);
        CHECK(result.status == 0);
        if (is_warned) {
            CHECK_THAT(result.text(), Contains("'" + path + "'") && Contains("stanza-create"));
        } else {
            CHECK_THAT(result.text(), !Contains("'" + path + "'"));
        }
    }
    CHECK(site.info().at("status").at("code") == 0);
}

} // namespace

TEST_CASE("all goes on while identity, key, cluster or a copy is lost, and stanza-create mends it",
          "[copies][s3][bug-47]")
{
    const Place place = GENERATE(from_range(places()));
    CAPTURE(place.name);
    const std::string cipher = place.open ? "aes-256-gcm" : GENERATE("", "aes-256-gcm");
    Site site({.cipher = cipher, .place = place});
    site.backup();
    const auto segment = site.cluster().archive_current_segment();
    const auto paths = twins(site);
    REQUIRE(paths.size() == (cipher.empty() ? 4 : 6));
    for (const auto& path : paths) {
        const bool is_copy = path.starts_with("copy/");
        for (const bool is_removed : {false, true}) {
            if (place.open && is_removed == is_copy) {
                continue; // the rest on the disk, which is quicker
            }
            CAPTURE(cipher, path, is_removed);
            const std::string before = site.read_object(path);
            lose(site, path, is_removed);

            const auto found = site.run({"verify", "--output=json"});
            CHECK(found.status == kVerifyFindings);
            const auto report = nlohmann::json::parse(found.out);
            CHECK(report.at("findings") == 1);
            CHECK(report.at("fault").at(0).at("object") == path);
            CHECK_THAT(report.at("fault").at(0).dump(), Contains("stanza-create"));
            // A backup makes copies that are not there, but for keys.
            const bool is_made = is_removed && is_copy && !path.starts_with("copy/keys/");
            check_all_works(site, path, segment, !is_copy);

            const auto mended = site.must({"stanza-create", "--log-level-console=info"});
            CHECK_THAT(mended.text(),
                       is_made ? Contains("already exists") : Contains("'" + path + "' was "));
            CHECK(site.read_object(path) == before);
            CHECK(site.run({"verify"}).status == 0);
        }
    }
}

TEST_CASE("where identity and copy are lost it is said, and nothing is made anew",
          "[copies][bug-47]")
{
    Site site;
    site.backup();
    const bool is_removed = GENERATE(false, true);
    CAPTURE(is_removed);
    lose(site, "pgstrata.json", is_removed);
    lose(site, "copy/pgstrata.json", false);
    const auto before = site.objects("");

    for (const std::string command :
         {"backup", "stanza-create", "stanza-upgrade", "check", "verify"}) {
        CAPTURE(command);
        const auto result = site.run({command});
        CHECK(result.status == (is_removed ? 55 : 26));
        CHECK_THAT(result.text(), Contains("'pgstrata.json'") && Contains("'copy/pgstrata.json'"));
    }
    CHECK(site.objects("") == before);
}

TEST_CASE("the identity of another repository beside ours is told of", "[copies][bug-47]")
{
    Site site;
    const Site other;
    site.replace_object("copy/pgstrata.json", other.read_object("pgstrata.json"));

    CHECK(site.run({"backup"}).status == 0);
    CHECK(site.run({"verify"}).status == kVerifyFindings);
    const auto refused = site.run({"stanza-create"});
    CHECK(refused.status == 103);
    CHECK_THAT(refused.text(), Contains("another repository") && Contains("remove"));
    CHECK(site.read_object("copy/pgstrata.json") == other.read_object("pgstrata.json"));

    site.remove_object("copy/pgstrata.json");
    CHECK(site.run({"stanza-upgrade"}).status == 0);
    CHECK(site.read_object("copy/pgstrata.json") == site.read_object("pgstrata.json"));
    CHECK(site.run({"verify"}).status == 0);
}
