// SPDX-License-Identifier: PostgreSQL
#include "unit/engine/chain_fixture.hpp"
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

TEST_CASE("each file is planned by what the prior backup has under its path, and no other",
          "[engine][plan][bug-2][bug-5]")
{
    Chain chain;
    for (const char* name : {"1", "10", "100", "11", "2"}) {
        chain.data.write(std::string("base/1/") + name, make_pages(0, 2));
    }
    chain.data.write("PG_VERSION", "15\n");
    chain.data.write("zeta", "last");
    chain.take();
    chain.rules.trust_times = true;
    chain.rules.prior_copy_time = now_nanoseconds() + 10'000'000'000;
    // Gone, renamed (with its time), new at each end and in between.
    chain.data.remove("PG_VERSION");
    chain.data.remove("base/1/11");
    std::filesystem::rename(chain.data.path() + "/base/1/10", chain.data.path() + "/base/1/12");
    chain.data.write("AAA", "first");
    chain.data.write("base/1/101", make_pages(0, 2));
    chain.data.write("zzz", "last");

    chain.plan();

    const std::map<std::string, FileWork> expected = {
        {"AAA", FileWork::copy},
        {"base/1/1", FileWork::refer},
        {"base/1/100", FileWork::refer},
        {"base/1/101", FileWork::copy},
        {"base/1/12", FileWork::copy},
        {"base/1/2", FileWork::refer},
        {"zeta", FileWork::refer},
        {"zzz", FileWork::copy},
    };
    std::map<std::string, FileWork> planned;
    for (std::size_t i = 0; i < chain.manifest.files.size(); ++i) {
        const auto& file = chain.manifest.files[i];
        planned[file.path] = chain.backup_plan.work[i];
        CAPTURE(file.path);
        CHECK(file.extents.empty() == (chain.backup_plan.work[i] == FileWork::copy));
    }
    CHECK(planned == expected);
    CHECK(chain.backup_plan.units.size() == 4);
    CHECK(chain.backup_plan.bytes == 5 + 4 * kPageSize + 4);
    CHECK(chain.backup_plan.referred == 6 * kPageSize + 4);
    chain.copy();
    chain.check_all();
}

TEST_CASE("a file that is empty now keeps nothing of what was in it", "[engine][plan][bug-10]")
{
    Chain chain;
    chain.options.check_pages = true;
    std::string pages = make_pages(0, 2);
    pages[5000] ^= 1;
    chain.data.write("base/1/1259", pages);
    const WarningLog quiet;
    chain.take();
    REQUIRE(chain.file("base/1/1259").is_damaged);
    chain.data.write("base/1/1259", "");
    chain.plan();
    const auto* file = find_file(chain.manifest, "base/1/1259");
    REQUIRE(file != nullptr);
    CHECK(file->extents.empty());
    CHECK_FALSE(file->is_damaged);
    CHECK(file->bad_pages.empty());
}

TEST_CASE("a prior manifest that is cut off fails the plan, even after its last useful file",
          "[engine][plan][bug-47]")
{
    Chain chain;
    chain.data.write("base/1/1259", make_pages(0, 2));
    for (int i = 0; i < 2000; ++i) {
        chain.data.write(fmt::format("zeta/{}", i), "x");
    }
    chain.take();
    std::filesystem::remove_all(chain.data.path() + "/zeta");
    const std::string path = repository::manifest_path(kStanza, kLabel);
    const Buffer bytes = chain.memory.read(path);
    chain.memory.replace(path, bytes.view().first(bytes.size() - 4));
    CHECK_THROWS_AS(chain.plan(), Error);
}
