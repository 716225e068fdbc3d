// SPDX-License-Identifier: PostgreSQL
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

// Runs in a process of its own, whose memory is then known.
int write_and_read(const std::string& root)
{
    try {
        const auto storage = storage::make_posix_storage({root});
        const auto repository = Repository::open_or_create(*storage, {});
        write_manifest(*repository, kStanza, make_large_manifest());
        return is_as_written(read_manifest(*repository, kStanza, kLabel)) ? 0 : 1;
    } catch (const std::exception&) {
        return 2;
    }
}

} // namespace

TEST_CASE("a manifest of a million files is written and read in 400 MB",
          "[repository][manifest][.slow]")
{
    const TemporaryDirectory directory;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::_exit(write_and_read(directory.path()));
    }
    int status = 0;
    struct rusage usage {};
    REQUIRE(::wait4(child, &status, 0, &usage) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    INFO("peak memory: " << usage.ru_maxrss / 1024 << " MB");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(usage.ru_maxrss < 400 * 1024);
#endif
}
