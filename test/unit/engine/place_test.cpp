// SPDX-License-Identifier: PostgreSQL
#include "engine/place_plan.hpp"
#include "support/matchers.hpp"
#include "support/passing_storage.hpp"
#include "unit/engine/place_fixture.hpp"

#include <catch2/catch.hpp>

#include <mutex>
#include <set>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HandMadeChain;
using pgstrata::test::HasCode;
using pgstrata::test::kMebibyte;
using pgstrata::test::kPage;
using pgstrata::test::kRestoreStanza;
using pgstrata::test::Placing;
using pgstrata::test::random_text;
using pgstrata::test::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

std::uint64_t disk_bytes(const std::string& path)
{
    return static_cast<std::uint64_t>(test::status_of(path).st_blocks) * 512;
}

// What it was said would be read, and what was read then.
struct Foretold {
    struct Stretch {
        std::string path;
        std::uint64_t begin = 0;
        std::uint64_t end = 0;

        bool has(const std::string& of, std::uint64_t at) const
        {
            return of == path && at >= begin && at < end;
        }
    };
    std::vector<Stretch> stretches; // in the order of the first mention
    std::vector<std::size_t> known; // of each read of a stretch: how many stretches were told then
    std::set<std::pair<std::string, std::uint64_t>> begun; // where reads began
    std::size_t again = 0;       // stretches whose beginning had been read
    std::uint64_t read_over = 0; // the answer to who asks

    bool has(const std::string& path, std::uint64_t at) const
    {
        return std::ranges::any_of(stretches, [&](const auto& each) { return each.has(path, at); });
    }
    std::uint64_t bytes() const
    {
        std::uint64_t sum = 0;
        for (const Stretch& each : stretches) {
            sum += each.end - each.begin;
        }
        return sum;
    }
};

class ListeningSource final : public RandomSource {
public:
    ListeningSource(std::unique_ptr<RandomSource> inner, std::string path, Foretold& foretold)
        : inner_(std::move(inner)), path_(std::move(path)), foretold_(foretold)
    {
    }
    std::uint64_t size() const override { return inner_->size(); }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        if (foretold_.has(path_, offset)) {
            foretold_.known.push_back(foretold_.stretches.size());
        }
        foretold_.begun.emplace(path_, offset);
        return inner_->read_at(offset, out);
    }
    void expect(std::uint64_t offset, std::uint64_t size) const override
    {
        foretold_.again += foretold_.begun.contains({path_, offset}) ? 1U : 0U;
        if (!foretold_.has(path_, offset)) {
            foretold_.stretches.push_back({path_, offset, offset + size});
        }
    }
    std::uint64_t read_over() const noexcept override { return foretold_.read_over; }

private:
    std::unique_ptr<RandomSource> inner_;
    std::string path_;
    Foretold& foretold_;
};

class ListeningStorage final : public test::PassingStorage {
public:
    using PassingStorage::PassingStorage;
    std::unique_ptr<RandomSource> open(std::string_view path) const override
    {
        return std::make_unique<ListeningSource>(inner().open(path), std::string(path), foretold);
    }

    mutable Foretold foretold;
};

} // namespace

TEST_CASE_METHOD(Placing, "what is placed equals what was copied", "[place]")
{
    add("PG_VERSION", "15\n");
    add("empty", "");
    add("base/5/PG_VERSION", "15\n");
    add("base/5/16384", random_text(8192, 1));
    add("base/5/16384_fsm", std::string(3 * 8192, '\0'));
    add("base/5/16385", random_text(40 * 8192, 2));
    add("base/5/16386", random_text(300 * 8192, 3));
    add("base/5/16387", random_text(100, 4)); // not a whole page: no relation
    add("pg_xact/0000", random_text(kMebibyte + 4097, 5));
    add("pg_xact/0001", random_text(255, 6));
    store_files(GENERATE(1U, 64U) * kMebibyte);
    place(GENERATE(1U, 4U));
    for (const auto& each : manifest.files) {
        if (each.path != postgres::kControlFilePath) {
            check_same(each.path);
        }
    }
    CHECK(placed("global/pg_control") == test::control_file_text());
    CHECK(done == total());
    CHECK(reported == total());
}

TEST_CASE_METHOD(Placing, "mode and time of a file come back", "[place]")
{
    add("script", "text");
    add("base/5/16384", random_text(2 * kMebibyte, 1));
    store_files();
    file("script").mode = 0751;
    file("base/5/16384").mtime = 1234567890'987654321;
    place();
    CHECK((test::status_of(target / "script").st_mode & 07777U) == 0751);
    const auto time = test::status_of(target / "base/5/16384").st_mtim;
    CHECK(time.tv_sec == 1234567890);
    CHECK(time.tv_nsec == 987654321);
}

TEST_CASE_METHOD(Placing, "files to skip are not touched", "[place][bug-37]")
{
    add("postgresql.auto.conf", "new");
    add("other", "new");
    store_files();
    skip = {"postgresql.auto.conf", std::string(postgres::kControlFilePath)};
    test::write_text_file(target / "postgresql.auto.conf", "kept");
    place();
    CHECK(placed("postgresql.auto.conf") == "kept");
    CHECK(placed("other") == "new");
    CHECK_FALSE(fs::exists(target / "global/pg_control"));
}

TEST_CASE_METHOD(Placing, "workers share a large file", "[place][bug-41]")
{
    add("base/5/16384", random_text(2 * kPlacePartSize + kMebibyte + 8192, 1));
    add("base/5/16385", random_text(kPlacePartSize, 2));
    add("base/5/16386", random_text(kMebibyte, 3));
    store_files();
    place(4);
    check_same("base/5/16384");
    check_same("base/5/16385");
    check_same("base/5/16386");
    CHECK(done == total());
}

TEST_CASE_METHOD(Placing, "a pack is told in long stretches what will be read of it", "[place]")
{
    add("base/5/16384", random_text(35 * kMebibyte, 1));
    store_files();
    ListeningStorage listening(*storage);
    repository = repository::Repository::open(listening, {});

    place();

    const std::size_t parts = 2;
    const Foretold& foretold = listening.foretold;
    CHECK(foretold.stretches.size() >= parts);
    CHECK(foretold.stretches.size() <= parts + manifest.packs.size());
    CHECK(foretold.bytes() >= 35 * kMebibyte);
    CHECK(foretold.bytes() < 36 * kMebibyte);
    // The next part is spoken of while one is placed.
    REQUIRE_FALSE(foretold.known.empty());
    CHECK(foretold.known.front() == 2);
    repository.reset(); // before its storage
}

TEST_CASE_METHOD(Placing, "of small files that share a frame nothing is told", "[place]")
{
    for (unsigned i = 0; i < 20; ++i) {
        add(fmt::format("base/5/{}", 16384 + i), random_text(2 * 8192, i));
    }
    store_files();
    ListeningStorage listening(*storage);
    repository = repository::Repository::open(listening, {});

    place();

    check_same("base/5/16400");
    CHECK(listening.foretold.stretches.empty());
    repository.reset(); // before its storage
}

TEST_CASE_METHOD(HandMadeChain,
                 "what lies between two frames is foretold where the store reads over it",
                 "[place]")
{
    const std::string pages = random_text(256 * kPage, 1);
    const std::string_view view = pages;
    add_pages_apart(view.substr(0, 128 * kPage), random_text(20'000, 2), view.substr(128 * kPage));
    finish_map(pages.size() / kPage);
    finish_file(pages.size());
    ListeningStorage listening(*storage);
    listening.foretold.read_over = GENERATE(0U, 10'000U, 32'768U);
    repository = repository::Repository::open(listening, {});

    place();

    CHECK((placed("base/5/16384") == pages));
    CHECK(listening.foretold.stretches.size() == (listening.foretold.read_over > 20'000 ? 1 : 2));
    repository.reset(); // before its storage
}

TEST_CASE_METHOD(HandMadeChain,
                 "one stretch is told though pages of a later backup lie between",
                 "[place]")
{
    std::string pages = random_text(256 * kPage, 1);
    const std::string_view view = pages;
    add_pages_apart(view.substr(0, 128 * kPage), "unused", view.substr(128 * kPage));
    finish_map(256);
    const std::string changed = random_text(2 * kPage, 2);
    add_pages(changed);
    map.is_dense = false;
    map.numbers = {100, 128};
    finish_map(256);
    finish_file(pages.size());
    pages.replace(100 * kPage, kPage, changed, 0, kPage);
    pages.replace(128 * kPage, kPage, changed, kPage, kPage);
    ListeningStorage listening(*storage);
    listening.foretold.read_over = 1000;
    repository = repository::Repository::open(listening, {});

    place();

    CHECK((placed("base/5/16384") == pages));
    REQUIRE(listening.foretold.stretches.size() == 1);
    CHECK(listening.foretold.bytes() > 256 * kPage);
    CHECK(listening.foretold.again == 0);
    repository.reset(); // before its storage
}

TEST_CASE_METHOD(HandMadeChain,
                 "frames may lie across the borders between workers' parts",
                 "[place][bug-41]")
{
    const std::string pages = random_text(17 * kMebibyte, 1);
    constexpr std::size_t kOdd = std::size_t{37} * 8192;
    for (std::size_t at = 0; at < pages.size(); at += kOdd) {
        add_pages(std::string_view(pages).substr(at, kOdd));
    }
    finish_map(pages.size() / 8192);
    finish_file(pages.size());
    place(3);
    CHECK((placed("base/5/16384") == pages));
}

TEST_CASE_METHOD(Placing,
                 "a changed byte in a pack is found and the file named",
                 "[place][bug-12][bug-58]")
{
    struct Row {
        std::string path;
        std::size_t size;
    };
    const auto row = GENERATE(values<Row>({
        {"pg_xact/0000", 8192},
        {"base/5/16384", 8192},
        {"base/5/16384", 2 * kMebibyte},
        {"pg_xact/0000", kMebibyte + 5},
    }));
    CAPTURE(row.path, row.size);
    const std::string text = random_text(row.size, 1);
    add(row.path, text);
    store_files();
    skip = {std::string(postgres::kControlFilePath)};

    const std::string path = repository::pack_path(kRestoreStanza, manifest.header.label, 0);
    Buffer pack = read_object(path);
    const auto at = as_text(pack).find(std::string_view(text).substr(4000, 64));
    REQUIRE(at != std::string_view::npos);
    pack.span()[at] ^= std::byte{1};
    replace_object(path, pack);

    CHECK_THROWS_MATCHES(place(GENERATE(1U, 2U)), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains(row.path));
}

TEST_CASE_METHOD(Placing, "a file with another digest is refused by name", "[place][bug-41]")
{
    add("pg_xact/0000", random_text(8192, 1));
    add("pg_xact/0001", random_text(8192, 2));
    store_files();
    SECTION("as the manifest has it")
    {
        file("pg_xact/0001").digest[3] ^= std::byte{1};
    }
    SECTION("as the bytes of another file")
    {
        file("pg_xact/0001").extents = file("pg_xact/0000").extents;
    }
    SECTION("as pieces out of order")
    {
        repository::Extent first = file("pg_xact/0001").extents.at(0);
        repository::Extent second = first;
        first.size = second.size = 4096;
        second.position += 4096;
        file("pg_xact/0001").extents = {second, first};
    }
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains("pg_xact/0001"));
}

TEST_CASE_METHOD(HandMadeChain,
                 "pages in another order than they were copied in are refused",
                 "[place][bug-41]")
{
    const std::size_t size = GENERATE(2U, 100U) * std::size_t{8192};
    add_pages(random_text(size, 1));
    add_pages(random_text(size, 2));
    std::swap(map.extents[0], map.extents[1]);
    finish_map(2 * size / 8192);
    finish_file(2 * size);
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains("page 0 of file 'base/5/16384'"));
}

TEST_CASE_METHOD(HandMadeChain, "a page map that does not fit is refused", "[place][bug-41]")
{
    const std::size_t size = GENERATE(4U, 200U) * std::size_t{8192};
    add_pages(random_text(size / 2, 1));
    add_pages(random_text(size / 2, 2));
    std::size_t pages = size / 8192;
    SECTION("too short")
    {
        finish_map(pages++);
    }
    SECTION("too long")
    {
        finish_map(pages--);
    }
    SECTION("of an unknown pack")
    {
        map.extents[0].pack = 7;
        finish_map(pages);
    }
    SECTION("of some pages only")
    {
        map.is_dense = false;
        for (std::uint32_t page = 0; page < map.hashes.size(); ++page) {
            map.numbers.push_back(page + 1);
        }
        finish_map(++pages);
    }
    finish_file(pages * 8192);
    CHECK_THROWS_MATCHES(place(2), Error, HasCode(ErrorCode::format));
    CHECK_THROWS_WITH(place(), Catch::Contains("base/5/16384"));
}

TEST_CASE_METHOD(Placing,
                 "databases that are left out become zeros that take no room",
                 "[place][bug-38]")
{
    for (const std::string path : {"base/16384/", "pg_tblspc/16400/PG_15_202209061/16384/"}) {
        add(path + "PG_VERSION", "15\n");
        add(path + "pg_filenode.map", random_text(512, 1));
        add(path + "1259", random_text(20 * kMebibyte, 2));
        add(path + "1260", random_text(8192, 3));
        add(path + "1261", "");
    }
    add("base/16385/PG_VERSION", "15\n");
    add("base/16385/1259", random_text(8192, 4));
    manifest.databases = {{16384, "shop", false}, {16385, "forum", false}};
    store_files();
    for (auto& each : manifest.files) {
        each.mtime = 1234567890'000000000;
    }
    layout_options.db_exclude = {"shop"};
    place(2);
    for (const std::string path : {"base/16384/", "pg_tblspc/16400/PG_15_202209061/16384/"}) {
        CAPTURE(path);
        CHECK_FALSE(fs::exists(target / (path + "PG_VERSION")));
        check_same(path + "pg_filenode.map");
        CHECK((placed(path + "1259") == std::string(20 * kMebibyte, '\0')));
        CHECK((placed(path + "1260") == std::string(8192, '\0')));
        CHECK(fs::file_size(target / (path + "1261")) == 0);
        CHECK(disk_bytes(target / (path + "1259")) < kMebibyte);
        CHECK(test::status_of(target / (path + "1259")).st_mtim.tv_sec > 1234567890);
        CHECK(test::status_of(target / (path + "pg_filenode.map")).st_mtim.tv_sec == 1234567890);
    }
    check_same("base/16385/PG_VERSION");
    check_same("base/16385/1259");
}

TEST_CASE_METHOD(Placing, "owners are asked for with the places of their names", "[place]")
{
    add("one", "1");
    add("base/5/16384", random_text(2 * kMebibyte, 1));
    store_files();
    manifest.names = {"a", "b", "c"};
    file("one").user = 1;
    file("one").group = 2;
    fs::create_directories(target / "base/5");
    fs::create_directories(target / "global");
    std::mutex asked_mutex;
    std::set<std::pair<std::uint16_t, std::uint16_t>> asked;
    PlaceOptions options;
    options.stanza = kRestoreStanza;
    options.owner = [&](std::uint16_t user, std::uint16_t group) {
        const std::lock_guard lock(asked_mutex);
        asked.emplace(user, group);
        return std::pair<std::uint32_t, std::uint32_t>(::geteuid(), ::getegid());
    };
    Progress progress(total(), {});
    place_files(options, *repository, manifest, layout(), {}, progress);
    CHECK(asked.contains({1, 2}));
    CHECK(asked.size() == 2);
}

TEST_CASE_METHOD(Placing, "a link in the place of a file is not followed", "[place][bug-52]")
{
    const std::size_t size = GENERATE(std::size_t{8192}, 2 * kMebibyte);
    add("base/5/16384", random_text(size, 1));
    store_files();
    test::write_text_file(target / "elsewhere", "precious");
    fs::create_directories(target / "base/5");
    fs::create_symlink(target / "elsewhere", target / "base/5/16384");
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::file_open));
    CHECK(placed("elsewhere") == "precious");
}

TEST_CASE_METHOD(Placing, "a missing pack fails the placing of its files", "[place][bug-3]")
{
    add("base/5/16384", random_text(2 * kMebibyte, 1));
    store_files();
    storage->remove(repository::pack_path(kRestoreStanza, manifest.header.label, 0));
    CHECK_THROWS_MATCHES(place(3), Error, HasCode(ErrorCode::file_missing));
}

TEST_CASE_METHOD(Placing, "a small file is read whole and checked", "[place]")
{
    add("base/5/16384", random_text(8192, 1));
    store_files();
    const auto read = [&](std::string_view path) {
        return read_small_file(*repository, kRestoreStanza, manifest, file(path));
    };
    CHECK(as_text(read("global/pg_control")) == test::control_file_text());
    CHECK_THROWS_MATCHES(read("base/5/16384"), Error, HasCode(ErrorCode::checksum));
    file("global/pg_control").digest[0] ^= std::byte{1};
    CHECK_THROWS_MATCHES(read("global/pg_control"), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(read("global/pg_control"), Catch::Contains("global/pg_control"));
}
