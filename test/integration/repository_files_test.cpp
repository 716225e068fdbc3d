// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <sstream>

// repo-ls and repo-get.

using namespace pgstrata::test;
using Catch::Contains;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

// One encrypted site in each place for all tests of this file, which only read it.
struct Sealed {
    explicit Sealed(const Place& place = {})
        : site({.cluster = {.settings = {"wal_keep_size = '1GB'"}},
                .cipher = "aes-256-gcm",
                .place = place}),
          segment(site.cluster().archive_current_segment())
    {
        site.backup();
    }

    // Relative to the repository's root.
    std::string object(const std::string& part) const { return site.objects(part).at(0); }
    std::string stored(const std::string& path) const { return site.read_object(path); }

    Site site;
    std::string segment;
};

Sealed& on_disk()
{
    static Sealed result;
    return result;
}

Sealed& anywhere()
{
    const Place place = GENERATE(from_range(places()));
    UNSCOPED_INFO(place.name);
    if (!place.open) {
        return on_disk();
    }
    static Sealed result(place);
    return result;
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

std::vector<std::string> list(const Sealed& sealed, const std::vector<std::string>& arguments)
{
    std::vector<std::string> all{"repo-ls"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return lines_of(sealed.site.must(all).out);
}

using Lines = std::vector<std::string>;

} // namespace

TEST_CASE("repo-ls lists a directory in order", "[repo-ls][s3]")
{
    Sealed& sealed = anywhere();
    const Lines root{"archive", "backup", "copy", "keys", "pgstrata.json"};

    CHECK(list(sealed, {}) == root);
    CHECK(list(sealed, {"--sort=asc"}) == root);
    CHECK(list(sealed, {"--sort=desc"}) == Lines(root.rbegin(), root.rend()));
    auto unsorted = list(sealed, {"--sort=none"});
    std::sort(unsorted.begin(), unsorted.end());
    CHECK(unsorted == root);
    CHECK(list(sealed, {"archive"}) == Lines{"main"});
    CHECK(list(sealed, {sealed.site.repository() + "/archive"}) == Lines{"main"});
    CHECK(list(sealed, {"--output=text", "archive/main"}) == Lines{"15-1"});
}

TEST_CASE("repo-ls --recurse finds what is there and nothing else", "[repo-ls]")
{
    Sealed& sealed = on_disk();
    Lines expected;
    for (const auto& entry : fs::recursive_directory_iterator(sealed.site.repository())) {
        expected.push_back(fs::relative(entry.path(), sealed.site.repository()).string());
    }
    std::sort(expected.begin(), expected.end());

    auto found = list(sealed, {"--recurse"});
    std::sort(found.begin(), found.end());

    CHECK(found.size() > 10);
    CHECK(found == expected);
}

TEST_CASE("repo-ls shows what its filter matches", "[repo-ls][s3]")
{
    Sealed& sealed = anywhere();
    CHECK(list(sealed, {"--filter=^(arch|key)"}) == Lines{"archive", "keys"});
    CHECK(list(sealed, {"--filter=^nothing$"}).empty());
    const auto segments = list(sealed, {"--recurse", "--filter=" + sealed.segment + "-.*\\.zst$"});
    REQUIRE(segments.size() == 1);
    CHECK(segments.at(0) == sealed.object(sealed.segment + "-"));

    const auto result = sealed.site.run({"repo-ls", "--filter=["});
    CHECK(result.status == 29);
    CHECK(result.out.empty());
}

TEST_CASE("repo-ls in JSON has type, size and time", "[repo-ls][s3]")
{
    Sealed& sealed = anywhere();
    const auto text = sealed.site.must({"repo-ls", "--recurse", "--output=json"}).out;
    const auto listing = json::parse(text);

    CHECK(text.back() == '\n');
    CHECK(listing.at(".") == json{{"type", "path"}});
    CHECK(listing.at("archive/main") == json{{"type", "path"}});
    CHECK(listing.size() == list(sealed, {"--recurse"}).size() + 1);
    const auto path = sealed.object("/manifest");
    const auto& manifest = listing.at(path);
    CHECK(manifest.size() == 3);
    CHECK(manifest.at("type") == "file");
    CHECK(manifest.at("size") == sealed.stored(path).size());
    const auto age = std::time(nullptr) - manifest.at("time").get<std::time_t>();
    CHECK(age >= -1); // a store may round up
    CHECK(age < 3600);
}

TEST_CASE("repo-ls of a missing directory is empty, and of one outside an error", "[repo-ls][s3]")
{
    Sealed& sealed = anywhere();
    CHECK(list(sealed, {"no/such/directory"}).empty());
    CHECK(sealed.site.must({"repo-ls", "--output=json", "missing"}).out ==
          "{\".\":{\"type\":\"path\"}}\n");
    CHECK(sealed.site.run({"repo-ls", "../log"}).status == 96);
    CHECK(sealed.site.run({"repo-ls", "/etc"}).status == 96);
    CHECK(sealed.site.run({"repo-ls", "archive", "backup"}).status == 96);
    CHECK(sealed.site.run({"repo-ls", "--repo=2"}).status == 32);
}

TEST_CASE("repo-get opens what the repository encrypts", "[repo-get][s3]")
{
    Sealed& sealed = anywhere();
    const auto path = sealed.object("/cluster.json");

    const auto opened = sealed.site.must({"repo-get", path}).out;

    CHECK(std::to_string(json::parse(opened).at("system-id").get<std::uint64_t>()) ==
          sealed.site.cluster().sql("SELECT system_identifier FROM pg_control_system()"));
    CHECK(sealed.stored(path).find("system-id") == std::string::npos);
    CHECK(sealed.site.must({"repo-get", sealed.site.repository() + "/" + path}).out == opened);
    CHECK(sealed.site.must({"repo-get", "copy/" + path}).out == opened);
    for (const std::string identity : {"pgstrata.json", "copy/pgstrata.json"}) {
        CHECK(sealed.site.must({"repo-get", identity}).out == sealed.stored("pgstrata.json"));
    }
}

TEST_CASE("repo-get gives an encrypted segment as a file for zstd", "[repo-get][s3]")
{
    Sealed& sealed = anywhere();
    const auto path = sealed.object(sealed.segment + "-");
    const auto file = sealed.site.new_path("segment.zst");
    write_file(file, sealed.site.must({"repo-get", path}).out);

    CHECK(run_or_throw({"/usr/bin/zstd", "-dc", file}).out ==
          read_file(sealed.site.cluster().path("pg_wal/" + sealed.segment)));
}

TEST_CASE("repo-get --raw gives any object as it is stored", "[repo-get][s3]")
{
    Sealed& sealed = anywhere();
    for (const auto* part : {"/cluster.json", "/pack/", "/manifest", ".zst", "pgstrata.json"}) {
        CAPTURE(part);
        const auto path = sealed.object(part);
        CHECK((sealed.site.must({"repo-get", "--raw", path}).out == sealed.stored(path)));
    }
}

TEST_CASE("repo-get of what is no file says so", "[repo-get][s3]")
{
    Sealed& sealed = anywhere();
    const auto* path = GENERATE("backup/main/missing", "backup/main", "pgstrata.json/x");
    CAPTURE(path);

    const auto refused = sealed.site.run({"repo-get", path});
    CHECK(refused.status == 55);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains(path));

    const auto ignored = sealed.site.run({"repo-get", "--ignore-missing", path});
    CHECK(ignored.status == 1);
    CHECK(ignored.text().empty());
}

TEST_CASE("repo-get needs one file within the repository and the passphrase", "[repo-get]")
{
    Sealed& sealed = on_disk();
    const auto& site = sealed.site;
    const auto path = sealed.object("/cluster.json");

    CHECK(site.run({"repo-get"}).status == 43);
    CHECK(site.run({"repo-get", "../pgstrata.conf"}).status == 96);
    CHECK(site.run({"repo-get", "--ignore-missing", "../pgstrata.conf"}).status == 96);
    const auto wrong =
        site.run({"repo-get", path}, {.environment = {{"PGSTRATA_REPO1_CIPHER_PASS", "wrong"}}});
    CHECK(wrong.status == 95);
    CHECK(wrong.out.empty());
}

TEST_CASE("output just ends when nobody reads on", "[repo-get]")
{
    Sealed& sealed = on_disk();
    const auto command = program_under_test() + " --config=" + sealed.site.configuration() +
                         " repo-get --raw " + sealed.object("/pack/") +
                         " | head -c 10 >/dev/null; exit ${PIPESTATUS[0]}";

    const auto result = run_process({"/bin/bash", "-c", command});

    CHECK(result.status == 0);
    CHECK(result.err.empty());
}

TEST_CASE("without a cipher repo-get gives the stored bytes", "[repo-get]")
{
    Site site;
    const auto path = site.objects("/cluster.json").at(0);

    CHECK(site.must({"repo-get", path}).out == read_file(site.repository() + "/" + path));
    CHECK(json::parse(site.must({"repo-get", path}).out).is_object());
}
