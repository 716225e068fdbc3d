// SPDX-License-Identifier: PostgreSQL
#include "engine/target_file.hpp"

#include "pgstrata/util/file_status.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace pgstrata::engine {

namespace {

constexpr unsigned kReadWrite = S_IRUSR | S_IWUSR;
// Smaller ones are read faster than it takes to ask what of them is cached.
constexpr std::uint64_t kLargeFile = std::uint64_t{1} << 20U;

struct stat status_of(const FileDescriptor& file, const std::string& path)
{
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
    }
    return status;
}

bool is_aligned(ByteView bytes, std::uint64_t offset)
{
    return reinterpret_cast<std::uintptr_t>(bytes.data()) % Buffer::kAlignment == 0 &&
           bytes.size() % Buffer::kAlignment == 0 && offset % Buffer::kAlignment == 0;
}

std::uint64_t thread_nanoseconds()
{
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

void remove_file(const std::string& path)
{
    if (::unlink(path.c_str()) != 0) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", path));
    }
}

} // namespace

TargetFile::TargetFile(FileDescriptor file, std::string path)
    : file_(std::move(file)), path_(std::move(path))
{
}

TargetFile TargetFile::create(const std::string& path)
{
    return {open_file(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, kReadWrite), path};
}

TargetFile TargetFile::create_large(const std::string& path, std::uint64_t size, CacheGauge& gauge)
{
    TargetFile target = create(path);
    // Fewer pieces; of no consequence when it cannot.
    ::fallocate(target.file_.get(), 0, 0, static_cast<off_t>(size));
    target.resize(size);
    target.gauge_ = &gauge;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
    const int direct = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT);
    target.direct_ = FileDescriptor(direct);
    return target;
}

std::optional<TargetFile> TargetFile::open_existing(const std::string& path)
{
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno != ENOENT) {
            raise_errno(ErrorCode::file_info, errno, fmt::format("look at '{}'", path));
        }
        return std::nullopt;
    }
    if (!S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
    const bool is_ours = ::geteuid() == 0 || status.st_uid == ::geteuid();
    if (!is_ours || status.st_nlink > 1) {
        remove_file(path);
        return std::nullopt;
    }
    // Whatever mode it is to have, it gets it in the end.
    if ((status.st_mode & kReadWrite) != kReadWrite) {
        ::chmod(path.c_str(), (status.st_mode & 07777U) | kReadWrite);
    }
    TargetFile target(open_file(path, O_RDWR | O_NOFOLLOW), path);
    status = status_of(target.file_, path);
    target.size_ = static_cast<std::uint64_t>(status.st_size);
    target.mtime_ = modified_at(status);
    if (target.size_ >= kLargeFile) {
        target.reader_ = std::make_unique<GentleReader>(target.file_.get(), path);
    }
    return target;
}

std::size_t TargetFile::read(std::uint64_t offset, MutableBytes out) const
{
    return reader_ ? reader_->read(offset, out) : pread_fully(file_.get(), out, offset, path_);
}

void TargetFile::write(std::uint64_t offset, ByteView bytes) const
{
    if (!direct_.is_open() || !is_aligned(bytes, offset)) {
        pwrite_fully(file_.get(), bytes, offset, path_);
        return;
    }
    if (gauge_->admits(bytes.size())) {
        write_cached(offset, bytes);
        return;
    }
    const ssize_t count =
        ::pwrite(direct_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno != EINVAL && errno != EINTR) {
        // The cache would take what the disk did not.
        raise_errno(ErrorCode::file_write, errno, fmt::format("write '{}' at {}", path_, offset));
    }
    if (count != static_cast<ssize_t>(bytes.size())) {
        // The filesystem wants other borders, or is full: this tells.
        pwrite_fully(file_.get(), bytes, offset, path_);
    }
}

void TargetFile::write_cached(std::uint64_t offset, ByteView bytes) const
{
    const std::uint64_t begin = thread_nanoseconds();
    pwrite_fully(file_.get(), bytes, offset, path_);
    gauge_->note(bytes.size(), thread_nanoseconds() - begin);
    // The disk goes on with it at once, and the sync in the end waits for little.
    ::sync_file_range(file_.get(),
                      static_cast<off_t>(offset),
                      static_cast<off_t>(bytes.size()),
                      SYNC_FILE_RANGE_WRITE);
}

void TargetFile::resize(std::uint64_t size) const
{
    if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) {
        raise_errno(ErrorCode::file_write, errno, fmt::format("set the size of '{}'", path_));
    }
}

void TargetFile::sync() const
{
    sync_file(file_.get(), path_);
}

void TargetFile::finish(const FileAttributes& attributes)
{
    const struct stat now = status_of(file_, path_);
    const bool is_given_away =
        attributes.user != ~0U && (now.st_uid != attributes.user || now.st_gid != attributes.group);
    if (is_given_away && ::fchown(file_.get(), attributes.user, attributes.group) != 0) {
        raise_errno(ErrorCode::file_owner, errno, fmt::format("set the owner of '{}'", path_));
    }
    // Giving a file away may take bits from its mode.
    const bool has_mode = !is_given_away && (now.st_mode & 07777U) == attributes.mode;
    if (!has_mode && ::fchmod(file_.get(), attributes.mode) != 0) {
        raise_errno(ErrorCode::file_mode, errno, fmt::format("set the mode of '{}'", path_));
    }
    if (attributes.mtime && *attributes.mtime != modified_at(now)) {
        const timespec time{*attributes.mtime / 1000000000, *attributes.mtime % 1000000000};
        const std::array<timespec, 2> times = {time, time};
        ::futimens(file_.get(), times.data()); // of no consequence when it fails
    }
    direct_ = {};
    file_.close(path_);
}

} // namespace pgstrata::engine
