// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/util/gentle_reader.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace pgstrata {

namespace {

// A kernel page may be larger, and then several entries are about one.
constexpr std::size_t kPage = 4096;
constexpr std::size_t kLongestQuestion = 256; // pages
static_assert(Buffer::kAlignment % kPage == 0);

bool is_aligned(std::uint64_t offset, ByteView bytes)
{
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    return (offset | address | bytes.size()) % Buffer::kAlignment == 0;
}

} // namespace

GentleReader::GentleReader(int fd, std::string path) : fd_(fd), path_(std::move(path))
{
    struct stat status {};
    if (static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) != kPage || ::fstat(fd_, &status) != 0 ||
        status.st_size == 0) {
        return;
    }
    mapped_ = static_cast<std::size_t>(status.st_size);
    mapping_ = ::mmap(nullptr, mapped_, PROT_READ, MAP_SHARED, fd_, 0);
    if (mapping_ == MAP_FAILED) {
        mapping_ = nullptr;
        return;
    }
    const std::string same_file = fmt::format("/proc/self/fd/{}", fd_);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
    direct_ = FileDescriptor(::open(same_file.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
}

GentleReader::~GentleReader()
{
    if (mapping_ != nullptr) {
        ::munmap(mapping_, mapped_);
    }
}

// Whether at least half of the stretch is; told by its first pages when it is long.
bool GentleReader::is_cached(std::uint64_t offset, std::size_t size) const
{
    std::array<unsigned char, kLongestQuestion> in_memory{};
    const std::size_t asked = std::min({size, mapped_ - offset, in_memory.size() * kPage});
    if (::mincore(static_cast<char*>(mapping_) + offset, asked, in_memory.data()) != 0) {
        return true;
    }
    const auto pages = static_cast<std::ptrdiff_t>((asked + kPage - 1) / kPage);
    const auto cached = std::count_if(
        in_memory.begin(), in_memory.begin() + pages, [](auto flags) { return (flags & 1U) != 0; });
    return 2 * cached >= pages;
}

std::size_t GentleReader::read(std::uint64_t offset, MutableBytes out) const
{
    std::size_t done = 0;
    if (direct_.is_open() && offset < mapped_ && is_aligned(offset, out) &&
        !is_cached(offset, out.size())) {
        const ssize_t count =
            ::pread(direct_.get(), out.data(), out.size(), static_cast<off_t>(offset));
        done = count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    return done + pread_fully(fd_, out.subspan(done), offset + done, path_);
}

} // namespace pgstrata
