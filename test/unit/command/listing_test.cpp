// SPDX-License-Identifier: PostgreSQL
#include "support/matchers.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/command/listing.hpp"
#include "pgstrata/storage/memory.hpp"
#include "pgstrata/storage/posix.hpp"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace pgstrata;
using namespace pgstrata::test;
using command::ListingOptions;
using command::SortOrder;

namespace {

std::unique_ptr<storage::Storage> make_tree()
{
    auto storage = storage::make_memory_storage();
    for (const char* path : {"archive/main/15-1/cluster.json", "backup/main/x", "pgstrata.json"}) {
        storage::write_file(*storage, path, as_bytes("{}"));
    }
    return storage;
}

std::string list(const storage::Storage& storage, const ListingOptions& options)
{
    return command::render_listing_text(command::make_listing(storage, options));
}

} // namespace

TEST_CASE("a listing has the entries of a directory by name", "[repo-ls]")
{
    const auto storage = make_tree();

    CHECK(list(*storage, {}) == "archive\nbackup\npgstrata.json\n");
    CHECK(list(*storage, {.path = "archive/main"}) == "15-1\n");
    CHECK(list(*storage, {.order = SortOrder::descending}) == "pgstrata.json\nbackup\narchive\n");
}

TEST_CASE("a listing can descend", "[repo-ls]")
{
    CHECK(list(*make_tree(), {.recurse = true}) == "archive\n"
                                                   "archive/main\n"
                                                   "archive/main/15-1\n"
                                                   "archive/main/15-1/cluster.json\n"
                                                   "backup\n"
                                                   "backup/main\n"
                                                   "backup/main/x\n"
                                                   "pgstrata.json\n");
}

TEST_CASE("a filter is a regular expression for the shown names", "[repo-ls]")
{
    const auto storage = make_tree();

    CHECK(list(*storage, {.filter = "^(archive|backup)$"}) == "archive\nbackup\n");
    CHECK(list(*storage, {.filter = "json$", .recurse = true}) ==
          "archive/main/15-1/cluster.json\npgstrata.json\n");
    CHECK_THROWS_MATCHES(list(*storage, {.filter = "("}), Error, HasCode(ErrorCode::format));
}

TEST_CASE("what is not there looks like an empty directory", "[repo-ls]")
{
    const auto storage = make_tree();

    CHECK(list(*storage, {.path = "nothing"}).empty());
    CHECK(command::render_listing_json(command::make_listing(*storage, {.path = "nothing"})) ==
          "{\".\":{\"type\":\"path\"}}\n");
}

TEST_CASE("a single file is listed as itself", "[repo-ls]")
{
    const auto storage = make_tree();
    auto entries = command::make_listing(*storage, {.path = "pgstrata.json"});
    REQUIRE(entries.size() == 1);
    entries.front().mtime = 1700000000;

    CHECK(command::render_listing_text(entries) == ".\n");
    CHECK(command::render_listing_json(entries) ==
          "{\".\":{\"size\":2,\"time\":1700000000,\"type\":\"file\"}}\n");
}

TEST_CASE("a listing in JSON has sizes, times, types and destinations", "[repo-ls]")
{
    TemporaryDirectory directory;
    namespace fs = std::filesystem;
    fs::create_directory(directory / "dir");
    fs::create_symlink("dir", directory / "link");
    const auto storage = storage::make_posix_storage({.root = directory.path()});
    storage::write_file(*storage, "dir/file", as_bytes("12345"));
    auto entries = command::make_listing(*storage, {.recurse = true});
    REQUIRE(entries.size() == 4);
    for (auto& entry : entries) {
        entry.mtime = 1700000000;
    }

    CHECK(command::render_listing_json(entries) ==
          "{\".\":{\"type\":\"path\"},\"dir\":{\"type\":\"path\"},"
          "\"dir/file\":{\"size\":5,\"time\":1700000000,\"type\":\"file\"},"
          "\"link\":{\"destination\":\"dir\",\"type\":\"link\"}}\n");
}

TEST_CASE("the directory itself has to pass the filter, too", "[repo-ls]")
{
    CHECK(command::render_listing_json(command::make_listing(
              *make_tree(), {.filter = "^archive"})) == "{\"archive\":{\"type\":\"path\"}}\n");
}
