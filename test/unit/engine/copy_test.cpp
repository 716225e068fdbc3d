// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/copy_fixture.hpp"

#include "pgstrata/util/cancel.hpp"

#include <csignal>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::ContentKind;

namespace {

// Text that is different everywhere.
std::string make_text(std::size_t size)
{
    std::string text;
    while (text.size() < size) {
        text += std::to_string(text.size() * 7919) + "\n";
    }
    text.resize(size);
    return text;
}

constexpr std::size_t kLargeFileSize = kSmallFileSize + 5 * kPageSize;

} // namespace

TEST_CASE("a copy holds every file as it was", "[engine][copy][bug-1][bug-10][bug-50]")
{
    CopyRun run(GENERATE(repository::CipherSetting(), gcm_setting()));
    run.options.compress_level = GENERATE(std::optional<int>(), std::optional<int>(1));
    run.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    run.data.write_cluster();
    const std::vector<std::pair<std::string, std::string>> files = {
        {"base/1/empty", ""},
        {"base/1/2600", ""},
        {"base/1/2601", make_text(100)},
        {"base/1/2602", make_text(kPageSize + 1)},
        {"base/1/2603", make_pages(0, 31)},
        {"base/1/2604", make_pages(0, kLargeFileSize / kPageSize)},
        {"base/1/2605", make_text(kLargeFileSize + 1)},
        {"base/1/\xff =[#]", "x"},
        {"pg_xact/0000", make_text((2U << 20U) + 17)},
        {"pg_xact/0001", make_text(1U << 20U)},
        {"small/edge", make_text(kSmallFileSize)},
        {"small/under", make_text(kSmallFileSize - 1)},
    };
    for (const auto& [path, content] : files) {
        run.data.write(path, content);
    }
    run.plan();
    const CopyResult result = run.copy();

    for (const auto& [path, content] : files) {
        CAPTURE(path);
        CHECK((run.read(path) == content));
        CHECK_FALSE(run.has_vanished(result, path));
        CHECK_FALSE(run.file(path).is_damaged);
    }
    CHECK(result.read == run.backup_plan.bytes);
    CHECK(result.stored == run.backup_plan.bytes);
    CHECK(run.reported_done == run.backup_plan.bytes);
    CHECK(run.reported_all == run.backup_plan.bytes);
}

TEST_CASE("many small files share frames", "[engine][copy][bug-10]")
{
    CopyRun run;
    run.options.workers = GENERATE(as<std::size_t>(), 1, 3);
    for (int i = 0; i < 300; ++i) {
        run.data.write(fmt::format("base/1/{}", 10000 + i),
                       i % 2 == 0 ? make_pages(0, 1U + static_cast<unsigned>(i) % 5)
                                  : make_text(static_cast<std::size_t>(i) * 31));
    }
    run.plan();
    run.copy();
    for (int i = 0; i < 300; ++i) {
        const std::string path = fmt::format("base/1/{}", 10000 + i);
        CAPTURE(path);
        CHECK((run.read(path) == (i % 2 == 0 ? make_pages(0, 1U + static_cast<unsigned>(i) % 5)
                                             : make_text(static_cast<std::size_t>(i) * 31))));
    }
    CHECK(run.file("base/1/10000").extents.at(0).length != 0);
}

TEST_CASE("a large relation file that workers share equals what was read", "[engine][copy][bug-10]")
{
    CopyRun run;
    run.options.workers = 4;
    run.options.check_pages = true;
    const std::size_t pages = 2 * kCopyPartSize / kPageSize + 3;
    const std::string content = make_pages(0, pages);
    run.data.write("base/1/16384", content);
    run.data.write("base/1/16385", make_pages(0, 40));
    run.plan();
    REQUIRE(run.backup_plan.units.size() == 4);
    run.copy();

    CHECK((run.read("base/1/16384") == content));
    CHECK((run.read("base/1/16385") == make_pages(0, 40)));
    CHECK_FALSE(run.file("base/1/16384").is_damaged);
    CHECK(run.manifest.packs.size() > 1);
}

TEST_CASE("a map larger than a frame comes back", "[engine][copy][bug-10]")
{
    CopyRun run;
    run.options.workers = 2;
    run.options.compress_level = 1;
    run.pack_size = 1U << 20U;
    // The hashes of a full segment fill one frame, so that its extents lie beyond it.
    run.options.page_size = 1024;
    const std::uint64_t size = std::uint64_t{131072} * 1024;
    run.data.write("base/1/16384", "");
    run.data.resize("base/1/16384", size);
    run.plan();
    run.copy();

    const auto& file = run.file("base/1/16384");
    CHECK(file.extents.size() > 1);
    CHECK(file.size == size);
    const std::string pages = read_backed_up(*run.memory.repository, run.manifest, file);
    CHECK(is_zero(as_bytes(pages)));
}

TEST_CASE("files that vanish before they are copied are left out and shift nothing",
          "[engine][copy][bug-2]")
{
    CopyRun run;
    run.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    run.data.write_cluster();
    run.data.write("base/1/20000", make_pages(0, 3));
    run.data.write("base/1/20001", make_pages(0, kLargeFileSize / kPageSize));
    run.data.write("base/1/20002", make_text(100));
    run.data.write("base/1/20003", make_text(kLargeFileSize + 1));
    run.data.write("base/1/20004", make_pages(7, 4));
    run.plan();
    for (const char* name : {"20000", "20001", "20002", "20003"}) {
        run.data.remove(std::string("base/1/") + name);
    }
    const CopyResult result = run.copy();

    for (const char* name : {"20000", "20001", "20002", "20003"}) {
        const std::string path = std::string("base/1/") + name;
        CAPTURE(path);
        CHECK(run.has_vanished(result, path));
        CHECK(run.file(path).content == ContentKind::empty);
        CHECK(run.file(path).size == 0);
        CHECK(run.file(path).extents.empty());
    }
    CHECK_FALSE(run.has_vanished(result, "base/1/20004"));
    CHECK((run.read("base/1/20004") == make_pages(7, 4)));
    CHECK((run.read("base/1/1259") == make_pages(0, 3)));
    CHECK(run.read("PG_VERSION") == "15\n");
}

TEST_CASE("a relation that shrinks is filled up with zero pages", "[engine][copy][bug-4]")
{
    CopyRun run;
    run.options.check_pages = true;
    const std::size_t pages = GENERATE(as<std::size_t>(), 10, kLargeFileSize / kPageSize, 300);
    const std::size_t left = GENERATE(as<std::size_t>(), 0, 1, 7);
    const std::size_t torn = GENERATE(as<std::size_t>(), 0, 100);
    const std::string content = make_pages(0, pages);
    run.data.write("base/1/16384", content);
    run.plan();
    run.data.resize("base/1/16384", left * kPageSize + torn);
    run.copy();

    CAPTURE(pages, left, torn);
    CHECK((run.read("base/1/16384") ==
           content.substr(0, left * kPageSize) + std::string((pages - left) * kPageSize, '\0')));
    CHECK_FALSE(run.file("base/1/16384").is_damaged);
}

TEST_CASE("another file that shrinks keeps what there was", "[engine][copy][bug-4]")
{
    CopyRun run;
    const std::size_t size = GENERATE(as<std::size_t>(), 100, kLargeFileSize + 1, 3U << 20U);
    const std::size_t left = GENERATE(as<std::size_t>(), 0, 1, 99);
    const std::string content = make_text(size);
    run.data.write("pg_xact/0000", content);
    run.data.write("pg_xact/0001", "after");
    run.plan();
    run.data.resize("pg_xact/0000", left);
    const CopyResult result = run.copy();

    CHECK((run.read("pg_xact/0000") == content.substr(0, left)));
    CHECK(run.file("pg_xact/0000").size == left);
    CHECK(run.file("pg_xact/0000").content ==
          (left == 0 ? ContentKind::empty : ContentKind::whole));
    CHECK_FALSE(run.has_vanished(result, "pg_xact/0000"));
    CHECK(run.read("pg_xact/0001") == "after");
}

TEST_CASE("a relation that grows is read up to the size that was planned", "[engine][copy][bug-4]")
{
    CopyRun run;
    const std::vector<std::pair<std::string, std::string>> files = {
        {"base/1/16384", make_pages(0, 3)},
        {"base/1/16385", make_pages(0, kLargeFileSize / kPageSize)},
        {"base/1/16386", make_pages(0, 3) + make_text(100)},
        {"base/1/16387", make_pages(0, kLargeFileSize / kPageSize) + make_text(100)},
    };
    for (const auto& [path, content] : files) {
        run.data.write(path, content);
    }
    run.plan();
    for (const auto& [path, content] : files) {
        run.data.write(path, content + make_text(3 * kPageSize));
    }
    run.copy();
    for (const auto& [path, content] : files) {
        CAPTURE(path);
        CHECK((run.read(path) == content));
    }
}

TEST_CASE("a file that another one replaces while the backup runs is copied to its end",
          "[engine][copy][bug-4]")
{
    CopyRun run;
    const std::size_t before = GENERATE(as<std::size_t>(), 100, kLargeFileSize + 1);
    const std::size_t after = GENERATE(as<std::size_t>(), 200, kLargeFileSize - 1, 3U << 20U);
    const std::string path = "postgresql.auto.conf";
    run.data.write(path, make_text(before));
    run.plan();
    run.data.write(path + ".tmp", make_text(after));
    std::filesystem::rename(run.data.path() + "/" + path + ".tmp", run.data.path() + "/" + path);
    run.copy();
    CAPTURE(before, after);
    CHECK((run.read(path) == make_text(after)));
    CHECK(run.file(path).size == after);
}

TEST_CASE("a file that is written to after it was listed has the time of that", "[engine][copy]")
{
    CopyRun run;
    const std::vector<std::pair<std::string, std::string>> files = {
        {"base/1/16384", make_pages(0, 3)},
        {"base/1/16385", make_pages(0, kLargeFileSize / kPageSize)},
        {"pg_xact/0000", make_text(100)},
        {"pg_xact/0001", make_text(kLargeFileSize + 1)},
    };
    for (const auto& [path, content] : files) {
        run.data.write(path, content);
        run.data.set_mtime(path, 1'700'000'000);
    }
    run.plan();
    run.data.set_mtime("base/1/16384", 1'700'000'001);
    run.data.set_mtime("base/1/16385", 1'700'000'002);
    run.data.set_mtime("pg_xact/0001", 1'700'000'003);
    run.copy();
    constexpr UnixNanoseconds kSecond = 1'000'000'000;
    CHECK(run.file("base/1/16384").mtime == 1'700'000'001 * kSecond);
    CHECK(run.file("base/1/16385").mtime == 1'700'000'002 * kSecond);
    CHECK(run.file("pg_xact/0000").mtime == 1'700'000'000 * kSecond);
    CHECK(run.file("pg_xact/0001").mtime == 1'700'000'003 * kSecond);
}

TEST_CASE("a file that cannot be read ends the copy", "[engine][copy][bug-45]")
{
    CopyRun run;
    run.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    run.data.write_cluster();
    run.data.write("base/1/16384", make_pages(0, 3));
    run.plan();
    run.data.remove("base/1/16384");
    std::filesystem::create_directory(run.data.path() + "/base/1/16384");
    CHECK_THROWS_MATCHES(run.copy(), Error, HasCode(ErrorCode::file_read));
}

TEST_CASE("a signal ends the copy", "[engine][copy][bug-57]")
{
    CopyRun run;
    run.options.workers = GENERATE(as<std::size_t>(), 1, 4);
    run.data.write_cluster();
    run.plan();
    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(run.copy(), Error, HasCode(ErrorCode::terminated));
    set_pending_signal(0);
}
