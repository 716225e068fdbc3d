// SPDX-License-Identifier: PostgreSQL
#include "support/site.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata::test;

namespace {

namespace fs = std::filesystem;

// A site whose archived segments stay in pg_wal for comparison.
SiteOptions keeping_wal(unsigned segment_mb = 16)
{
    return {.cluster = {.wal_segment_mb = segment_mb, .settings = {"wal_keep_size = '1GB'"}}};
}

std::string wal_file(Site& site, const std::string& name)
{
    return site.cluster().path("pg_wal/" + name);
}

// archive-get of `name` into a new file, whose path comes back in `target`.
int get(Site& site, const std::string& name, std::string& target)
{
    target = site.new_path("got");
    return site.run({"archive-get", name, target}).status;
}

int push(Site& site, const std::string& path)
{
    return site.run({"archive-push", path}).status;
}

// A file with this name and content in a directory of its own.
std::string make_file(Site& site, const std::string& name, const std::string& content)
{
    const auto directory = site.new_path("wal");
    fs::create_directory(directory);
    write_file(directory + "/" + name, content);
    return directory + "/" + name;
}

} // namespace

TEST_CASE("what archive_command pushed comes back byte for byte", "[archive][bug-22]")
{
    const auto segment_mb = GENERATE(1U, 16U, 64U);
    CAPTURE(segment_mb);
    Site site(keeping_wal(segment_mb));
    const auto first = site.cluster().archive_current_segment();
    const auto second = site.cluster().archive_current_segment();

    for (const auto& name : {first, second}) {
        std::string target;
        CHECK(get(site, name, target) == 0);
        CHECK(fs::file_size(target) == segment_mb << 20U);
        CHECK(read_file(target) == read_file(wal_file(site, name)));
    }
    const auto archive = site.info().at("archive").at(0);
    CHECK(archive.at("min") == first);
    CHECK(archive.at("max") == second);
}

TEST_CASE("a segment pushed again is accepted with the same bytes and refused with others",
          "[archive][bug-18]")
{
    Site site(keeping_wal());
    const auto name = site.cluster().archive_current_segment();
    const auto before = site.objects("archive/");

    CHECK(push(site, wal_file(site, name)) == 0);

    auto other = read_file(wal_file(site, name));
    other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
    CHECK(push(site, make_file(site, name, other)) == 45);
    CHECK(site.objects("archive/") == before);
    std::string target;
    CHECK(get(site, name, target) == 0);
    CHECK(read_file(target) == read_file(wal_file(site, name)));
}

TEST_CASE("a relative WAL path is taken from the data directory only", "[archive]")
{
    Site site(keeping_wal());
    const auto path = "pg_wal/" + site.cluster().archive_current_segment();

    CHECK(site.run({"archive-push", path}, {.directory = site.cluster().data_directory()}).status ==
          0);
    CHECK(site.run({"archive-push", path}, {.directory = site.path("")}).status == 32);
}

TEST_CASE("a segment of another cluster is refused", "[archive][bug-19]")
{
    Site site;
    auto foreign = keeping_wal();
    foreign.cluster.own_identity = true;
    Site other(foreign);
    const auto name = other.cluster().archive_current_segment();
    const auto before = site.objects("archive/");

    CHECK(push(site, wal_file(other, name)) == 44);

    CHECK(site.objects("archive/") == before);
}

TEST_CASE("archive-get of what was never archived ends with 1 and leaves no file",
          "[archive][bug-24]")
{
    Site site;
    const auto* name =
        GENERATE("0000000100000000000000FE", "00000002.history", "0000000A0000000000000001");
    CAPTURE(name);

    std::string target;
    CHECK(get(site, name, target) == 1);

    CHECK_FALSE(fs::exists(target));
}

TEST_CASE("archive-get that cannot know ends above 125, so that recovery stops",
          "[archive][bug-24]")
{
    Site site({.cipher = "aes-256-gcm"});
    const auto name = site.cluster().archive_current_segment();
    const auto target = site.new_path("got");
    const std::vector<std::string> command{"archive-get", name, target};

    CHECK(site.run(command, {.environment = {{"PGSTRATA_REPO1_CIPHER_PASS", "wrong"}}}).status >
          125);
    CHECK(site.run({"archive-get", name, target, "--repo1-path=/nonexistent"}).status > 125);
    CHECK(site.run({"archive-get", name, target, "--no-such-option"}).status > 125);
    CHECK(site.run({"--log-level-console", "info", "archive-get", name, target, "--no"}).status >
          125);
    CHECK(site.run({"arch:main", name, target, "--no-such-option"}).status > 125);
    // The path of a listing is none.
    CHECK(site.run({"repo-ls", "archive", "--no-such-option"}).status == 31);
    CHECK(site.run({"archive-get", name}).status > 125);
    CHECK(site.run({"archive-get", name, "/nonexistent/directory/file"}).status > 125);
    fs::permissions(site.repository() + "/archive", fs::perms::none);
    CHECK(site.run(command).status > 125);
    CHECK(site.run({"archive-get", "0000000100000000000000FE", target}).status > 125);
    fs::permissions(site.repository() + "/archive", fs::perms::owner_all);
    CHECK_FALSE(fs::exists(target));
    CHECK(site.run(command).status == 0);
}

TEST_CASE("history, backup and partial files are archived under their own names",
          "[archive][bug-27]")
{
    Site site(keeping_wal());
    const auto segment = site.cluster().archive_current_segment();
    const auto content = read_file(wal_file(site, segment));
    const std::vector<std::pair<std::string, std::string>> files{
        {"00000002.history", "1\t0/3000000\tno recovery target specified\n"},
        {segment + ".00000028.backup", "START WAL LOCATION: 0/2000028 (file " + segment + ")\n"},
        {segment + ".partial", content}};

    for (const auto& [name, text] : files) {
        CAPTURE(name);
        const auto path = make_file(site, name, text);
        CHECK(push(site, path) == 0);
        CHECK(push(site, path) == 0);
        std::string target;
        CHECK(get(site, name, target) == 0);
        CHECK(read_file(target) == text);
    }
}

TEST_CASE("a timeline history with other content is refused", "[archive][bug-18]")
{
    Site site;
    CHECK(push(site, make_file(site, "00000002.history", "1\t0/3000000\tfirst\n")) == 0);

    CHECK(push(site, make_file(site, "00000002.history", "1\t0/4000000\tsecond\n")) == 45);

    std::string target;
    CHECK(get(site, "00000002.history", target) == 0);
    CHECK(read_file(target) == "1\t0/3000000\tfirst\n");
}

TEST_CASE("without a cipher an archived segment is a file for zstd", "[archive]")
{
    Site site(keeping_wal());
    const auto name = site.cluster().archive_current_segment();
    const auto objects = site.objects(name + "-");
    REQUIRE(objects.size() == 1);

    const auto content =
        run_or_throw({"/usr/bin/zstd", "-dc", site.repository() + "/" + objects[0]}).out;

    CHECK(content == read_file(wal_file(site, name)));
}

TEST_CASE("a stopped stanza takes no WAL but still gives it", "[archive]")
{
    Site site(keeping_wal());
    const auto name = site.cluster().archive_current_segment();
    site.must({"stop"});

    CHECK(push(site, wal_file(site, name)) == 62);
    std::string target;
    CHECK(get(site, name, target) == 0);

    site.must({"start"});
    CHECK(push(site, wal_file(site, name)) == 0);
}
