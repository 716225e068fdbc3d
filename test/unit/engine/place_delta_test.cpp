// SPDX-License-Identifier: PostgreSQL
#include "engine/place_plan.hpp"
#include "support/matchers.hpp"
#include "unit/engine/place_fixture.hpp"

#include <fcntl.h>
#include <unistd.h>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::kMebibyte;
using pgstrata::test::kPage;
using pgstrata::test::Placing;
using pgstrata::test::random_text;
using pgstrata::test::status_of;
namespace fs = std::filesystem;

namespace {

constexpr auto kSmallPath = "base/5/16385";
constexpr auto kLargePath = "base/5/16384";
constexpr auto kHolesPath = "base/5/16386";
constexpr auto kWholePath = "pg_xact/0000";
constexpr auto kEmptyPath = "base/5/16387";
constexpr std::size_t kLargeSize = kPlacePartSize + 4 * kMebibyte;

// A backup that lies in its place already, for a test to damage.
struct Placed : Placing {
    Placed()
    {
        reuse = Reuse::contents;
        add(kSmallPath, random_text(40 * kPage, 1));
        add(kLargePath, random_text(kLargeSize, 2));
        add(kHolesPath,
            random_text(kPage, 3) + std::string(200 * kPage, '\0') + random_text(kPage, 4));
        add(kWholePath, random_text(300000, 5));
        add(kEmptyPath, "");
        store_files();
        manifest.header.copy_time = kTime + 10'000000000;
        for (auto& each : manifest.files) {
            each.mtime = kTime;
        }
        reuse = Reuse::nothing;
        place();
        reuse = Reuse::contents;
    }

    void check_all()
    {
        for (const auto& each : manifest.files) {
            if (each.path != postgres::kControlFilePath) {
                check_same(each.path);
            }
            CAPTURE(each.path);
            const auto status = status_of(target / each.path);
            CHECK(status.st_mtim.tv_sec == kTime / 1'000000000);
            CHECK((status.st_mode & 07777U) == each.mode);
            CHECK(status.st_nlink == 1);
        }
    }

    // Changes bytes in the place, at a stretch.
    void overwrite(const std::string& path, std::size_t offset, std::string_view bytes) const
    {
        std::fstream file(target / path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(offset));
        file << bytes;
    }

    void set_time(const std::string& path, UnixNanoseconds time) const
    {
        const timespec each{time / 1000000000, time % 1000000000};
        const std::array<timespec, 2> times = {each, each};
        REQUIRE(::utimensat(AT_FDCWD, (target / path).c_str(), times.data(), 0) == 0);
    }

    static constexpr UnixNanoseconds kTime = 1795226400'123456789;
};

} // namespace

TEST_CASE_METHOD(Placed, "what is right already is not written", "[place][delta]")
{
    std::map<std::string, timespec> changed;
    for (const auto& each : manifest.files) {
        changed[each.path] = status_of(target / each.path).st_ctim;
    }
    const PlaceReport report = place(GENERATE(1U, 3U));
    CHECK(report.bytes_fetched == 0);
    CHECK(report.bytes_kept == total());
    CHECK(report.bytes_compared == total());
    CHECK(done == total());
    // Neither contents nor mode nor time nor owner were set anew.
    for (const auto& each : manifest.files) {
        CAPTURE(each.path);
        const timespec now = status_of(target / each.path).st_ctim;
        CHECK(now.tv_sec == changed[each.path].tv_sec);
        CHECK(now.tv_nsec == changed[each.path].tv_nsec);
    }
    check_all();
}

TEST_CASE_METHOD(Placed, "a delta mends what differs and fetches no more", "[place][delta][bug-13]")
{
    struct Row {
        std::string path;
        std::size_t size; // on the disk
        std::vector<std::size_t> flipped;
        std::size_t fetched;
    };
    constexpr std::size_t kTail = std::size_t{500} * kPage;
    const auto row = GENERATE(values<Row>({
        {kSmallPath, 40 * kPage, {0}, kPage},
        {kSmallPath, 40 * kPage, {39 * kPage + 8191, 3}, 2 * kPage},
        {kSmallPath, 40 * kPage, {5 * kPage, 6 * kPage, 7 * kPage}, 3 * kPage},
        {kSmallPath, 50 * kPage, {}, 0},
        {kSmallPath, 40 * kPage + 1, {kPage}, kPage},
        {kSmallPath, 30 * kPage, {}, 10 * kPage},
        {kSmallPath, 30 * kPage - 1, {}, 11 * kPage},
        {kSmallPath, 0, {}, 40 * kPage},
        {kLargePath, kLargeSize, {kPlacePartSize - 1, kPlacePartSize}, 2 * kPage},
        {kLargePath, kLargeSize, {256 * 1024 - 1, 256 * 1024}, 2 * kPage},
        {kLargePath, kLargeSize, {kLargeSize - 1}, kPage},
        {kLargePath, kLargeSize - kTail, {17}, kTail + kPage},
        {kLargePath, kLargeSize - kTail - 100, {}, kTail + kPage},
        {kLargePath, kLargeSize + 3 * kMebibyte + 5, {}, 0},
        {kLargePath, kMebibyte, {}, kLargeSize - kMebibyte},
        {kLargePath, 0, {}, kLargeSize},
        {kHolesPath, 202 * kPage, {100 * kPage}, kPage},
        {kHolesPath, 3 * kPage, {}, 199 * kPage},
        {kWholePath, 300000, {299999}, 300000},
        {kWholePath, 299999, {}, 300000},
        {kWholePath, 300001, {}, 300000},
        {kEmptyPath, 1, {}, 0},
    }));
    CAPTURE(row.path, row.size, row.flipped);
    std::string found = placed(row.path);
    found.resize(row.size, 'x');
    for (const std::size_t at : row.flipped) {
        found.at(at) ^= 1;
    }
    test::write_text_file(target / row.path, found);

    const PlaceReport report = place(GENERATE(1U, 2U));
    check_all();
    CHECK(report.bytes_fetched == row.fetched);
    CHECK(report.bytes_kept == total() - row.fetched);
}

TEST_CASE_METHOD(Placed, "a delta makes what is missing", "[place][delta]")
{
    const std::string path = GENERATE(kSmallPath, kLargePath, kHolesPath, kWholePath, kEmptyPath);
    CAPTURE(path);
    fs::remove(target / path);
    const PlaceReport report = place();
    check_all();
    CHECK(report.bytes_fetched == file(path).size);
}

TEST_CASE_METHOD(Placed, "holes are as good as zeros", "[place][delta]")
{
    fs::remove(target / kHolesPath);
    test::write_text_file(target / kHolesPath, random_text(kPage, 3));
    fs::resize_file(target / kHolesPath, 202 * kPage);
    CHECK(place().bytes_fetched == kPage);
    check_all();
}

TEST_CASE_METHOD(Placed, "mode and time of what is kept are set", "[place][delta]")
{
    const std::string path = GENERATE(kSmallPath, kLargePath, kWholePath, kEmptyPath);
    const auto mode = GENERATE(0000U, 0200U, 0444U, 0666U);
    CAPTURE(path, mode);
    fs::permissions(target / path, fs::perms(mode));
    set_time(path, kTime - 1);
    CHECK(place().bytes_fetched == 0);
    check_all();
}

TEST_CASE_METHOD(Placed,
                 "a file with a second name is replaced, so that the other keeps its contents",
                 "[place][delta][bug-52]")
{
    const std::string path = GENERATE(kSmallPath, kLargePath, kWholePath, kEmptyPath);
    CAPTURE(path);
    overwrite(path, 0, "precious");
    const std::string before = placed(path);
    fs::create_hard_link(target / path, target / "other");
    place();
    check_all();
    CHECK((placed("other") == before));
}

TEST_CASE_METHOD(Placed, "a link in the place of a file is not written through", "[place][bug-52]")
{
    const std::string path = GENERATE(kSmallPath, kLargePath, kWholePath, kEmptyPath);
    CAPTURE(path);
    test::write_text_file(target / "elsewhere", "precious");
    fs::remove(target / path);
    fs::create_symlink(target / "elsewhere", target / path);
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::file_open));
    CHECK(placed("elsewhere") == "precious");
}

TEST_CASE_METHOD(Placed, "size and time are trusted when asked for", "[place][delta][bug-9]")
{
    const std::string path = GENERATE(kSmallPath, kLargePath, kWholePath);
    CAPTURE(path);
    overwrite(path, 100, "unseen");
    set_time(path, kTime);
    reuse = Reuse::times;
    const PlaceReport report = place(GENERATE(1U, 2U));
    CHECK(report.bytes_compared == 0);
    CHECK(report.bytes_kept == total());
    CHECK(report.bytes_fetched == 0);
    CHECK(placed(path).substr(100, 6) == "unseen");
}

TEST_CASE_METHOD(Placed,
                 "size and time are not trusted unasked, nor when the time is another or too new",
                 "[place][delta][bug-9]")
{
    struct Row {
        Reuse reuse;
        UnixNanoseconds time;      // of the file
        UnixNanoseconds copy_time; // of the backup
    };
    const auto row = GENERATE(values<Row>({
        {Reuse::contents, kTime, kTime + 10'000000000},
        {Reuse::times, kTime - 1, kTime + 10'000000000},
        {Reuse::times, kTime + 1, kTime + 10'000000000},
        {Reuse::times, kTime, kTime + 1'000000000},
        {Reuse::times, kTime, kTime},
        {Reuse::times, kTime, kTime - 5'000000000},
        {Reuse::times, kTime, 0},
    }));
    const std::string path = GENERATE(kSmallPath, kLargePath, kWholePath);
    CAPTURE(path, row.time - kTime, row.copy_time - kTime);
    overwrite(path, 100, "unseen");
    set_time(path, row.time);
    reuse = row.reuse;
    manifest.header.copy_time = row.copy_time;
    place();
    check_all();
}

TEST_CASE_METHOD(Placed, "mode is set on what is trusted", "[place][delta]")
{
    reuse = Reuse::times;
    fs::permissions(target / kLargePath, fs::perms(0400));
    fs::permissions(target / kSmallPath, fs::perms(0640));
    place();
    check_all();
}

TEST_CASE_METHOD(Placed, "databases come and go between deltas", "[place][delta][bug-38]")
{
    manifest.databases = {{5, "shop", false}};
    layout_options.db_exclude = {"shop"};
    reuse = GENERATE(Reuse::contents, Reuse::times);
    place();
    CHECK((placed(kLargePath) == std::string(kLargeSize, '\0')));
    CHECK((placed(kSmallPath) == std::string(40 * kPage, '\0')));
    CHECK(status_of(target / kLargePath).st_blocks * 512 < 1 << 20);
    CHECK(status_of(target / kLargePath).st_mtim.tv_sec != kTime / 1'000000000);
    check_same(kWholePath);

    layout_options.db_exclude = {};
    place();
    check_all();
}

TEST_CASE_METHOD(Placed, "an owner that is right is left alone", "[place][delta]")
{
    PlaceOptions options;
    options.stanza = test::kRestoreStanza;
    options.reuse = Reuse::contents;
    options.owner = [](std::uint16_t, std::uint16_t) {
        return std::pair<std::uint32_t, std::uint32_t>(::geteuid(), ::getegid());
    };
    const auto before = status_of(target / kSmallPath).st_ctim;
    Progress progress(total(), {});
    place_files(options, *repository, manifest, layout(), {}, progress);
    const auto after = status_of(target / kSmallPath).st_ctim;
    CHECK(after.tv_sec == before.tv_sec);
    CHECK(after.tv_nsec == before.tv_nsec);
}

TEST_CASE_METHOD(Placed,
                 "damage in the repository does not hinder where nothing is fetched",
                 "[place][delta][bug-58]")
{
    const std::string path = repository::pack_path(test::kRestoreStanza, manifest.header.label, 0);
    const std::string text = placed(kLargePath);
    Buffer pack = read_object(path);
    const auto at = as_text(pack).find(std::string_view(text).substr(4 * kMebibyte, 64));
    REQUIRE(at != std::string_view::npos);
    pack.span()[at] ^= std::byte{1};
    replace_object(path, pack);
    CHECK(place().bytes_fetched == 0);

    overwrite(kLargePath, 4 * kMebibyte, "x");
    CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::checksum));
    CHECK_THROWS_WITH(place(), Catch::Contains(kLargePath));
}
