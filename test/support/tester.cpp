// SPDX-License-Identifier: PostgreSQL
#include "support/tester.hpp"

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace pgstrata::test {

namespace {

constexpr const char* kSmallDisk = "/run/pgstrata-test";
bool has_small_disk = false;

[[noreturn]] void fail(const std::string& call)
{
    throw std::system_error(errno, std::generic_category(), call);
}

// The mount is seen by this process and its children only, and goes when they do.
bool mount_small_disk(const passwd& owner)
{
    const auto options = "size=64m,mode=0700,uid=" + std::to_string(owner.pw_uid) +
                         ",gid=" + std::to_string(owner.pw_gid);
    return ::unshare(CLONE_NEWNS) == 0 &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           (::mkdir(kSmallDisk, 0755) == 0 || errno == EEXIST) &&
           ::mount("tmpfs", kSmallDisk, "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
}

void become_postgres()
{
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr) {
        throw std::runtime_error("integration tests started by root need the user postgres");
    }
    has_small_disk = mount_small_disk(*user);
    if (::initgroups("postgres", user->pw_gid) != 0 || ::setgid(user->pw_gid) != 0 ||
        ::setuid(user->pw_uid) != 0) {
        fail("become user postgres");
    }
    ::setenv("HOME", user->pw_dir, 1);
    ::setenv("USER", "postgres", 1);
    ::setenv("LOGNAME", "postgres", 1);
}

class Listener : public Catch::TestEventListenerBase {
public:
    using TestEventListenerBase::TestEventListenerBase;

    void testRunStarting(const Catch::TestRunInfo& info) override
    {
        TestEventListenerBase::testRunStarting(info);
        if (::geteuid() == 0) {
            become_postgres();
        }
        ::umask(077);
        ::setenv("LC_ALL", "C.UTF-8", 1);
    }
};
CATCH_REGISTER_LISTENER(Listener)

} // namespace

void report_skip(const std::string& what)
{
    static std::set<std::string> reported;
    if (reported.insert(what).second) {
        std::cerr << "\n##### SKIPPED: " << what << " #####\n" << std::endl;
    }
}

std::optional<SmallDisk> SmallDisk::acquire()
{
    if (!has_small_disk) {
        report_skip("tests with a full disk: only root may mount a small file system");
        return std::nullopt;
    }
    return SmallDisk(kSmallDisk);
}

SmallDisk::SmallDisk(std::string path) : path_(std::move(path))
{
    clear();
}

SmallDisk::SmallDisk(SmallDisk&& other) noexcept : path_(std::exchange(other.path_, {})) {}

SmallDisk::~SmallDisk()
{
    if (!path_.empty()) {
        clear();
    }
}

void SmallDisk::clear() const
{
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
        std::error_code ignored;
        std::filesystem::remove_all(entry.path(), ignored);
    }
}

std::uint64_t SmallDisk::free_bytes() const
{
    struct statvfs state {};
    if (::statvfs(path_.c_str(), &state) != 0) {
        fail("statvfs " + path_);
    }
    return static_cast<std::uint64_t>(state.f_bavail) * state.f_frsize;
}

void SmallDisk::fill_until(std::uint64_t bytes) const
{
    const auto file = path_ + "/filling";
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail("open " + file);
    }
    const auto size = free_bytes() - bytes;
    const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
    ::close(fd);
    if (error != 0) {
        throw std::system_error(error, std::generic_category(), "posix_fallocate " + file);
    }
}

void SmallDisk::release() const
{
    std::filesystem::remove(path_ + "/filling");
}

} // namespace pgstrata::test
