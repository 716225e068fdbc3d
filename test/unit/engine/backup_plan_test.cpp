// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/copy_fixture.hpp"

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::ContentKind;

TEST_CASE("a scan fills the manifest, sorted, without pg_control", "[engine][plan]")
{
    CopyRun run;
    run.data.write_cluster();
    run.data.write("base/1/odd =[#] name", "x");
    run.plan();

    REQUIRE(run.manifest.directories.size() >= 4);
    CHECK(run.manifest.directories.front().path.empty());
    CHECK(std::ranges::is_sorted(run.manifest.files, {}, &repository::ManifestFile::path));
    CHECK(find_file(run.manifest, "global/pg_control") == nullptr);
    const auto& odd = run.file("base/1/odd =[#] name");
    CHECK(odd.size == 1);
    CHECK(odd.mode == 0600);
    CHECK(odd.mtime > 1700000000000000000);
    REQUIRE(odd.user < run.manifest.names.size());
    CHECK_FALSE(run.manifest.names[odd.user].empty());
}

TEST_CASE("a link is one link, to a directory or to a file", "[engine][plan][bug-7]")
{
    const TemporaryDirectory elsewhere;
    CopyRun run;
    run.data.write_cluster();
    std::filesystem::create_directories(elsewhere / "space/PG_15_202209061/5");
    write_file_durably(elsewhere / "space/PG_15_202209061/5/16385", as_bytes(make_pages(0, 1)));
    write_file_durably(elsewhere / "conf", as_bytes("x = 1\n"));
    std::filesystem::create_directories(run.data.path() + "/pg_tblspc");
    std::filesystem::create_symlink(elsewhere / "space", run.data.path() + "/pg_tblspc/16400");
    std::filesystem::create_symlink(elsewhere / "conf", run.data.path() + "/extra.conf");
    run.plan();

    REQUIRE(run.manifest.links.size() == 2);
    for (const auto& link : run.manifest.links) {
        CHECK(link.is_directory == (link.path == "pg_tblspc/16400"));
    }
    CHECK(run.file("extra.conf").size == 6);
    CHECK(run.file("pg_tblspc/16400/PG_15_202209061/5/16385").content == ContentKind::paged);
}

TEST_CASE("whole pages of a relation are taken page by page, all else as it is",
          "[engine][plan][bug-5][bug-10]")
{
    const auto [path, size, content] = GENERATE(table<std::string, std::size_t, ContentKind>({
        {"base/1/1259", kPageSize, ContentKind::paged},
        {"base/1/1259.1", 2 * kPageSize, ContentKind::paged},
        {"base/1/1259_fsm", 3 * kPageSize, ContentKind::paged},
        {"global/1262", kPageSize, ContentKind::paged},
        {"base/1/1259", 0, ContentKind::empty},
        {"base/1/1259", 100, ContentKind::whole},
        {"base/1/1259", kPageSize + 1, ContentKind::whole},
        {"pg_xact/0000", kPageSize, ContentKind::whole},
        {"base/1/pg_filenode.map", kPageSize, ContentKind::whole},
        {"base/1/t1259x", kPageSize, ContentKind::whole},
        {"database/1/1259", kPageSize, ContentKind::whole},
    }));
    CopyRun run;
    run.data.write_cluster();
    run.data.write(path, std::string(size, 'x'));
    run.plan();
    CAPTURE(path, size);
    CHECK(run.file(path).content == content);
}

TEST_CASE("large files come first, in parts when several workers can share them", "[engine][plan]")
{
    repository::Manifest manifest;
    const auto add = [&](std::string path, std::uint64_t size) {
        repository::ManifestFile file;
        file.path = std::move(path);
        file.size = size;
        manifest.files.push_back(std::move(file));
    };
    add("base/1/1", kPageSize);
    add("base/1/2", 2 * kCopyPartSize + kPageSize);
    add("base/1/3", 0);
    add("base/1/4", std::uint64_t{1} << 30U);
    add("base/1/5", kSmallFileSize);
    add("base/1/6", kSmallFileSize - kPageSize);
    add("log", 3 * kCopyPartSize);

    const BackupPlan plan = plan_full_backup(manifest, kPageSize);

    std::vector<std::uint32_t> order;
    for (const CopyUnit& unit : plan.units) {
        if (unit.part == 0) {
            order.push_back(unit.file);
        }
    }
    CHECK(order == std::vector<std::uint32_t>{3, 6, 1, 4, 0, 5});
    const auto parts_of = [&](std::uint32_t file) {
        return std::ranges::count(plan.units, file, &CopyUnit::file);
    };
    CHECK(parts_of(3) == 64);
    CHECK(parts_of(1) == 3);
    CHECK(parts_of(6) == 1);
    CHECK(plan.bytes == kPageSize + 2 * kCopyPartSize + kPageSize + (std::uint64_t{1} << 30U) +
                            kSmallFileSize + kSmallFileSize - kPageSize + 3 * kCopyPartSize);
}
