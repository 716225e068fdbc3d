// SPDX-License-Identifier: PostgreSQL
#include "engine/target_file.hpp"
#include "support/matchers.hpp"
#include "support/page_cache.hpp"
#include "support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <string>

using namespace pgstrata;
using namespace pgstrata::engine;
using pgstrata::test::cached_pages;
using pgstrata::test::HasCode;
using pgstrata::test::TemporaryDirectory;

namespace {

constexpr std::size_t kWindow = std::size_t{1} << 20U;
constexpr std::size_t kWindows = 8;
constexpr std::size_t kSize = kWindows * kWindow;

// A window of one letter.
Buffer window_of(char letter)
{
    Buffer window(kWindow);
    std::ranges::fill(window.span(), static_cast<std::byte>(letter));
    return window;
}

std::size_t open_descriptors()
{
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// A large file is written, each window with its letter; gives how many of its pages are cached.
std::size_t write_windows(const std::string& path, std::uint64_t room)
{
    CacheGauge gauge(room);
    TargetFile file = TargetFile::create_large(path, kSize, gauge);
    for (std::size_t i = 0; i < kWindows; ++i) {
        file.write(i * kWindow, window_of(static_cast<char>('a' + i)));
    }
    file.finish({});
    const FileDescriptor written = open_file(path, O_RDONLY);
    return cached_pages(written.get(), kSize);
}

void check_windows(const std::string& path)
{
    const std::string text = read_text_file(path, 2 * kSize);
    REQUIRE(text.size() == kSize);
    for (std::size_t i = 0; i < kWindows; ++i) {
        const std::string expected(kWindow, static_cast<char>('a' + i));
        CHECK((text.substr(i * kWindow, kWindow) == expected));
    }
}

// While there is one, writes past the cache fail with this reason.
class FailingDisk {
public:
    explicit FailingDisk(int reason) { current = reason; }
    FailingDisk(const FailingDisk&) = delete;
    FailingDisk& operator=(const FailingDisk&) = delete;
    ~FailingDisk() { current = 0; }

    static inline int current = 0;
};

} // namespace

// This takes the place of the C library's.
extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset)
{
    const bool is_direct = FailingDisk::current != 0 && (::fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    errno = FailingDisk::current;
    return is_direct ? -1 : ::syscall(SYS_pwrite64, fd, bytes, size, offset);
}

TEST_CASE("a large file takes as much of the page cache as it was given", "[restore]")
{
    const TemporaryDirectory directory;
    const std::string path = directory / "file";
    SECTION("none")
    {
        CHECK(write_windows(path, 0) == 0);
    }
    SECTION("two of eight windows")
    {
        // Where writing through it is dear, it is no more than a trial.
        CHECK(write_windows(path, 2 * kWindow) == 2 * kWindow / 4096);
    }
    check_windows(path);
}

TEST_CASE("a large file takes stretches on any border", "[restore]")
{
    const TemporaryDirectory directory;
    CacheGauge gauge(GENERATE(as<std::uint64_t>(), 0, kWindow));
    TargetFile file = TargetFile::create_large(directory / "file", kSize, gauge);
    file.write(0, window_of('a'));
    file.write(kWindow, window_of('b').view().first(777));
    file.write(kWindow + 777, window_of('c').view().first(8192));
    file.write(2 * kWindow, window_of('d'));
    file.finish({});

    const std::string text = read_text_file(directory / "file", 2 * kSize);
    CHECK(text.size() == kSize);
    const std::string expected = std::string(kWindow, 'a') + std::string(777, 'b') +
                                 std::string(8192, 'c') + std::string(kWindow - 777 - 8192, '\0') +
                                 std::string(kWindow, 'd') + std::string(kSize - 3 * kWindow, '\0');
    CHECK((text == expected));
}

TEST_CASE("only what a disk did not refuse for its borders is an error", "[restore][bug-45]")
{
    const TemporaryDirectory directory;
    CacheGauge gauge(0);
    TargetFile file = TargetFile::create_large(directory / "file", kSize, gauge);
    const int reason = GENERATE(EINVAL, EIO, ENOSPC);
    CAPTURE(reason);
    {
        const FailingDisk disk(reason);
        if (reason == EINVAL) {
            file.write(0, window_of('a'));
        } else {
            CHECK_THROWS_MATCHES(
                file.write(0, window_of('a')), Error, HasCode(ErrorCode::file_write));
        }
    }
    file.finish({});

    const char expected = reason == EINVAL ? 'a' : '\0';
    CHECK((read_text_file(directory / "file", 2 * kSize).substr(0, kWindow) ==
           std::string(kWindow, expected)));
}

TEST_CASE("a large file that is finished holds no descriptor", "[restore]")
{
    const TemporaryDirectory directory;
    CacheGauge gauge(0);
    const std::size_t before = open_descriptors();
    TargetFile file = TargetFile::create_large(directory / "file", kSize, gauge);
    CHECK(open_descriptors() > before);
    file.finish({});
    CHECK(open_descriptors() == before);
}
