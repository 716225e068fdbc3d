// SPDX-License-Identifier: PostgreSQL
#include "support/page_cache.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/util/gentle_reader.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <random>

using namespace pgstrata;
using pgstrata::test::TemporaryDirectory;

namespace {

constexpr std::size_t kSize = (3U << 20U) + 12345;

std::string random_bytes()
{
    std::mt19937 random(7);
    std::string bytes(kSize, '\0');
    for (char& c : bytes) {
        c = static_cast<char>(random());
    }
    return bytes;
}

// A file whose pages are on the disk, cached or not.
struct StoredFile {
    explicit StoredFile(bool is_cached)
    {
        pwrite_fully(file.get(), as_bytes(bytes), 0, path);
        sync_file(file.get(), path);
        if (!is_cached) {
            forget();
        }
    }
    void forget() const { ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); }
    std::size_t cached_pages() const { return test::cached_pages(file.get(), kSize); }

    TemporaryDirectory directory;
    std::string path = directory / "file";
    FileDescriptor file = open_file(path, O_RDWR | O_CREAT, 0600);
    std::string bytes = random_bytes();
};

} // namespace

TEST_CASE("a gentle reader gives the same bytes cached or not", "[util][file]")
{
    const StoredFile stored(GENERATE(true, false));
    const GentleReader reader(stored.file.get(), stored.path);
    const auto offset =
        GENERATE(as<std::uint64_t>(), 0, 4096, 8192, 1000, 1U << 20U, 3U << 20U, kSize);
    const auto size = GENERATE(as<std::size_t>(), 4096, 8192, 1U << 20U, 777);
    CAPTURE(offset, size);
    Buffer out(size);

    const std::size_t count = reader.read(offset, out.span());

    const std::size_t left = kSize - std::min<std::size_t>(kSize, offset);
    CHECK(count == std::min(size, left));
    CHECK((as_text(out.view().first(count)) == stored.bytes.substr(offset, count)));
}

TEST_CASE("a gentle reader takes the cached front of a stretch and the rest from the disk",
          "[util][file]")
{
    const StoredFile stored(false);
    Buffer warm(40960);
    pread_fully(stored.file.get(), warm.span(), 0, stored.path);
    const GentleReader reader(stored.file.get(), stored.path);
    Buffer out(2U << 20U);

    CHECK(reader.read(0, out.span()) == out.size());

    CHECK((as_text(out) == stored.bytes.substr(0, out.size())));
}

TEST_CASE("a gentle reader sees what was written a moment ago", "[util][file]")
{
    const StoredFile stored(false);
    const GentleReader reader(stored.file.get(), stored.path);
    const std::string news(8192, 'n');
    pwrite_fully(stored.file.get(), as_bytes(news), 16384, stored.path);
    Buffer out(1U << 20U);

    reader.read(0, out.span());

    CHECK((as_text(out.view().subspan(16384, news.size())) == news));
}

TEST_CASE("a gentle reader leaves the page cache as it was", "[util][file]")
{
    const StoredFile stored(false);
    if (stored.cached_pages() != 0) {
        WARN("SKIPPED: this filesystem keeps its files in the page cache");
        return;
    }
    const GentleReader reader(stored.file.get(), stored.path);
    Buffer out(1U << 20U);

    CHECK(reader.read(0, out.span()) == out.size());

    CHECK(stored.cached_pages() == 0);
}
