// SPDX-License-Identifier: PostgreSQL
#include "engine/restore_sync.hpp"
#include "support/matchers.hpp"
#include "unit/engine/place_fixture.hpp"

#include <catch2/catch.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::HasCode;
using pgstrata::test::kMebibyte;
using pgstrata::test::Placing;
using pgstrata::test::random_text;
using pgstrata::test::status_of;
using pgstrata::test::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

// While there is one, it notes which files are synced, or lets that fail.
class SyncedFiles {
public:
    explicit SyncedFiles(bool is_failing = false) : is_failing_(is_failing) { current = this; }
    SyncedFiles(const SyncedFiles&) = delete;
    SyncedFiles& operator=(const SyncedFiles&) = delete;
    ~SyncedFiles() { current = nullptr; }

    int note(int fd)
    {
        const std::lock_guard lock(mutex_);
        names_.insert(fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).filename());
        errno = EIO;
        return is_failing_ ? -1 : 0;
    }
    const std::set<std::string>& names() const { return names_; }

    static inline SyncedFiles* current = nullptr;

private:
    bool is_failing_;
    std::mutex mutex_; // guards what follows
    std::set<std::string> names_;
};

} // namespace

// This takes the place of the C library's.
extern "C" int fsync(int fd)
{
    return SyncedFiles::current != nullptr ? SyncedFiles::current->note(fd)
                                           : static_cast<int>(::syscall(SYS_fsync, fd));
}

TEST_CASE("files are synced one by one on kernels whose sync of a filesystem tells nothing",
          "[restore][bug-43]")
{
    const auto& [release, expected] = GENERATE(table<std::string, FileSync>({
        {"5.8.0-53-generic", FileSync::with_filesystem},
        {"5.8", FileSync::with_filesystem},
        {"5.10.0-28-amd64", FileSync::with_filesystem},
        {"6.1.0", FileSync::with_filesystem},
        {"10.0", FileSync::with_filesystem},
        {"5.7.19", FileSync::each},
        {"5.4.0-42-generic", FileSync::each},
        {"4.18.0-553.el8_10.x86_64", FileSync::each},
        {"3.10", FileSync::each},
        {"6", FileSync::each},
        {"6.", FileSync::each},
        {".8", FileSync::each},
        {"", FileSync::each},
        {"linux", FileSync::each},
    }));
    CAPTURE(release);

    CHECK(file_sync_for(release) == expected);
}

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

TEST_CASE_METHOD(Placing, "each file is synced where that is asked for", "[restore][bug-43]")
{
    add("base/5/1", random_text(8192, 1));
    add("base/5/2", random_text(3 * kMebibyte, 2));
    add("PG_VERSION", "15\n");
    store_files();
    skip = {std::string(postgres::kControlFilePath)};
    SECTION("together with the others, by somebody else")
    {
        const SyncedFiles synced;
        place(2);
        CHECK(synced.names().empty());
    }
    SECTION("by itself")
    {
        sync = FileSync::each;
        const SyncedFiles synced;
        place(2);
        CHECK(synced.names() == std::set<std::string>{"1", "2", "PG_VERSION"});
    }
    SECTION("and what the disk fails to take is an error")
    {
        sync = FileSync::each;
        const SyncedFiles synced(true);
        CHECK_THROWS_MATCHES(place(), Error, HasCode(ErrorCode::file_sync));
    }
}
