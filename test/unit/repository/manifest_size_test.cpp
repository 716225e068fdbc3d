// SPDX-License-Identifier: PostgreSQL
#include "support/sanitizer.hpp"
#include "support/temporary_directory.hpp"
#include "unit/repository/manifest_sample.hpp"

#include "pgstrata/storage/posix.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace pgstrata;
using namespace pgstrata::repository;
using namespace pgstrata::test;

namespace {

constexpr std::uint32_t kFiles = 1000000;

Manifest make_large_manifest()
{
    Manifest manifest = sample_manifest();
    manifest.files.clear();
    manifest.files.reserve(kFiles);
    for (std::uint32_t i = 0; i < kFiles; ++i) {
        manifest.files.push_back(sample_file(fmt::format("base/16384/{:08}", i), 1 + i % 8192));
        manifest.files.back().mtime += i * std::int64_t{1000003};
    }
    return manifest;
}

bool is_as_written(const Manifest& manifest)
{
    bool is_right = manifest.files.size() == kFiles;
    for (std::uint32_t i = 0; is_right && i < kFiles; ++i) {
        const ManifestFile& file = manifest.files[i];
        is_right = file.path == fmt::format("base/16384/{:08}", i) && file.size == 1 + i % 8192 &&
                   file.extents.size() == 1;
    }
    return is_right;
}

const auto kNext = std::string(kLabel) + "_20261121-030000I";

int write_and_read(const Repository& repository)
{
    write_manifest(repository, kStanza, make_large_manifest());
    return is_as_written(read_manifest(repository, kStanza, kLabel)) ? 0 : 1;
}

// What a backup does: its own manifest grows in memory while that of the prior one passes by.
int build_beside_another(const Repository& repository)
{
    Manifest manifest = make_large_manifest();
    manifest.header.label = kNext;
    manifest.header.type = BackupType::incr;
    manifest.header.prior = kLabel;
    ManifestReader reader(repository, kStanza, kLabel);
    manifest.packs = reader.head().packs;
    std::size_t index = 0;
    for (ManifestFile prior; reader.next(prior); ++index) {
        ManifestFile& file = manifest.files.at(index);
        if (file.path != prior.path) {
            return 1;
        }
        file.extents = prior.extents;
        // Every other file is in this backup's own pack.
        file.extents.at(0).pack = index % 2 == 0 ? 0 : 2;
    }
    settle_packs(manifest, {{{kNext, 0}, 100000}});
    write_manifest(repository, kStanza, manifest);
    return index == kFiles && manifest.packs.size() == 3 ? 0 : 1;
}

using Work = int (*)(const Repository&);

// Does the work in a process of its own, whose memory is then known.
long peak_memory(const std::string& root, Work work)
{
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int failure = 0;
        try {
            const auto storage = storage::make_posix_storage({root});
            failure = work(*Repository::open_or_create(*storage, {}));
        } catch (const std::exception&) {
            failure = 2;
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

void check_memory(long kilobytes)
{
    INFO("peak memory: " << kilobytes / 1024 << " MB");
    if (!has_sanitizer()) {
        CHECK(kilobytes < 400 * 1024);
    }
}

} // namespace

TEST_CASE("a manifest of a million files is written and read in 400 MB",
          "[repository][manifest][.slow]")
{
    const TemporaryDirectory directory;
    check_memory(peak_memory(directory.path(), &write_and_read));
}

TEST_CASE("a manifest of a million files is read beside another one in 400 MB",
          "[repository][manifest][.slow]")
{
    const TemporaryDirectory directory;
    check_memory(peak_memory(directory.path(), &write_and_read));
    check_memory(peak_memory(directory.path(), &build_beside_another));
}
