// SPDX-License-Identifier: PostgreSQL
#include "support/sanitizer.hpp"
#include "support/temporary_directory.hpp"
#include "unit/engine/restore_fixture.hpp"
#include "unit/repository/fixture.hpp"

#include "pgstrata/engine/backup_plan.hpp"
#include "pgstrata/repository/repository.hpp"
#include "pgstrata/storage/posix.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace pgstrata;
using namespace pgstrata::engine;
using namespace pgstrata::test;
using repository::Manifest;
using repository::ManifestFile;

namespace {

constexpr std::uint32_t kFiles = 1000000;
constexpr UnixNanoseconds kTime = 1'795'226'400'123'456'789;

// As a scan of a data directory leaves it.
Manifest make_scanned()
{
    Manifest manifest = HandMadeManifest().manifest;
    manifest.files.reserve(kFiles);
    for (std::uint32_t i = 0; i < kFiles; ++i) {
        ManifestFile file;
        file.path = fmt::format("base/16384/{:08}", 10000000 + i);
        file.size = 8192;
        file.mtime = kTime + i;
        file.mode = 0600;
        manifest.files.push_back(std::move(file));
    }
    return manifest;
}

int write_prior(const repository::Repository& repository)
{
    Manifest manifest = make_scanned();
    manifest.packs = {{{manifest.header.label, 0}, std::uint64_t{1} << 40U}};
    for (std::uint32_t i = 0; i < kFiles; ++i) {
        ManifestFile& file = manifest.files[i];
        file.content = repository::ContentKind::paged;
        file.extents = {{0, 1000 + i / 100 * 5000, 4000, i % 100 * 30, 30}};
    }
    repository::write_manifest(repository, kStanza, manifest);
    return 0;
}

// Every tenth file was touched, every hundredth is new.
int plan(const repository::Repository& repository)
{
    Manifest manifest = make_scanned();
    for (std::uint32_t i = 0; i < kFiles; i += 10) {
        ManifestFile& file = manifest.files[i];
        file.mtime += 1;
        if (i % 100 == 0) {
            file.path += ".1";
        }
    }
    repository::ManifestReader prior(repository, kStanza, manifest.header.label);
    ChangeRules rules;
    rules.prior_copy_time = kTime + 10'000'000'000;
    const BackupPlan plan = plan_backup(manifest, rules, prior);
    const auto of = [&](FileWork work) { return std::ranges::count(plan.work, work); };
    const bool is_right = of(FileWork::copy) == 10000 && of(FileWork::compare) == 90000 &&
                          of(FileWork::refer) == 900000 && plan.units.size() == 100000 &&
                          plan.referred == std::uint64_t{900000} * 8192 &&
                          manifest.files.back().extents.size() == 1;
    return is_right ? 0 : 1;
}

// The work is done by a process of its own, whose memory is then known.
long peak_memory(const std::string& root, int (*work)(const repository::Repository&))
{
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int failure = 2;
        try {
            const auto storage = storage::make_posix_storage({root});
            failure = work(*repository::Repository::open_or_create(*storage, {}));
        } catch (const std::exception&) {
        }
        ::_exit(failure);
    }
    int status = 0;
    struct rusage usage {};
    REQUIRE(::wait4(child, &status, 0, &usage) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    return usage.ru_maxrss;
}

} // namespace

TEST_CASE("a million files are planned against a million of the prior backup in 400 MB",
          "[engine][plan][.slow]")
{
    const TemporaryDirectory directory;
    peak_memory(directory.path(), &write_prior);
    const long kilobytes = peak_memory(directory.path(), &plan);
    INFO("peak memory: " << kilobytes / 1024 << " MB");
    if (!has_sanitizer()) {
        CHECK(kilobytes < 400 * 1024);
    }
}
