// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_sync.hpp"
#include "unit/engine/place_fixture.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata::engine;
using pgstrata::test::status_of;
using pgstrata::test::TemporaryDirectory;
namespace fs = std::filesystem;

TEST_CASE("each filesystem that has one of the directories is synced", "[restore][bug-43]")
{
    const TemporaryDirectory base;
    fs::create_directories(base / "data/base/5");
    DirectoryModes directories = {
        {base / "data", 0700}, {base / "data/base", 0700}, {base / "data/base/5", 0700}};
    CHECK(RestoreFilesystems(directories).count() == 1);
    if (status_of(base.path()).st_dev == status_of("/dev/shm").st_dev) {
        return;
    }
    directories["/dev/shm"] = 0700;

    const RestoreFilesystems filesystems(directories);

    CHECK(filesystems.count() == 2);
    filesystems.sync();
}
