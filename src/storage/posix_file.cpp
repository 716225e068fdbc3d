// SPDX-License-Identifier: PostgreSQL
#include "storage/posix_file.hpp"

#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace pgstrata::storage {

namespace {

// Written data goes to the disk in pieces of this size while more is being made, so that the sync
// at the end has little left to wait for.
constexpr std::uint64_t kWritebackStep = 16U << 20U;
constexpr std::size_t kLongestNamePart = 200;
constexpr int kNameAttempts = 10;

// Nameless files get their name through /proc; without it they never would.
bool has_proc()
{
    static const bool kAnswer = ::access("/proc/self/fd", X_OK) == 0;
    return kAnswer;
}

bool is_out_of_space(int number)
{
    return number == ENOSPC || number == EDQUOT;
}

[[noreturn]] void raise_taken(const std::string& path)
{
    raise(ErrorCode::file_exists, "unable to write '{}': the file exists already", path);
}

} // namespace

TemporaryName::~TemporaryName()
{
    if (is_set()) {
        ::unlinkat(directory_.get(), name_.c_str(), 0);
    }
}

PosixPendingFile::PosixPendingFile(const PosixDirectories& directories,
                                   std::string_view path,
                                   WriteMode mode,
                                   Unfinished unfinished)
    : directories_(directories), path_(directories.absolute(path)), name_(file_name(path)),
      directory_(directories.make(parent_path(path))), temporary_name_(directory_), mode_(mode)
{
    // A nameless file can be linked but not take the place of another.
    const bool try_nameless = mode != WriteMode::replace && unfinished == Unfinished::nameless;
    if (!try_nameless || !open_nameless()) {
        open_named();
    }
    apply_mode(file_.get(), directories_.options().file_mode, path_);
}

bool PosixPendingFile::open_nameless()
{
    if (!has_proc()) {
        return false;
    }
    file_ = FileDescriptor(::openat(
        directory_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, directories_.options().file_mode));
    return file_.is_open();
}

void PosixPendingFile::open_named()
{
    int number = EEXIST;
    for (int attempt = 0; attempt < kNameAttempts && number == EEXIST; ++attempt) {
        const std::string name = fmt::format(
            "{}.{}{}", name_.substr(0, kLongestNamePart), random_tag(), kTemporarySuffix);
        file_ = FileDescriptor(::openat(directory_.get(),
                                        name.c_str(),
                                        O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
                                        directories_.options().file_mode));
        if (file_.is_open()) {
            temporary_name_.set(name);
            return;
        }
        number = errno;
    }
    raise_errno(is_out_of_space(number) ? ErrorCode::file_write : ErrorCode::file_open,
                number,
                fmt::format("create '{}'", path_));
}

void PosixPendingFile::write(ByteView bytes)
{
    if (state_ != State::writing) {
        raise(ErrorCode::assertion, "write to '{}' after it ended", path_);
    }
    state_ = State::failed;
    write_fully(file_.get(), bytes, path_);
    state_ = State::writing;
    written_ += bytes.size();
    if (written_ - writeback_started_ >= kWritebackStep) {
        start_writeback();
    }
}

void PosixPendingFile::start_writeback()
{
    // Advice: whatever goes wrong is reported by the sync.
    static_cast<void>(::sync_file_range(file_.get(),
                                        static_cast<off64_t>(writeback_started_),
                                        static_cast<off64_t>(written_ - writeback_started_),
                                        SYNC_FILE_RANGE_WRITE));
    writeback_started_ = written_;
}

void PosixPendingFile::commit()
{
    if (state_ != State::writing) {
        raise(ErrorCode::assertion, "commit of '{}' after it failed or ended", path_);
    }
    state_ = State::failed;
    sync_file(file_.get(), path_);
    publish();
    state_ = State::committed;
    sync_open_directory(directory_.get(), parent_path(path_));
    directories_.wait_for_creations();
}

void PosixPendingFile::publish()
{
    if (!temporary_name_.is_set()) {
        link_nameless();
    } else if (mode_ != WriteMode::replace) {
        publish_once();
    } else if (::renameat(
                   directory_.get(), temporary_name_.get(), directory_.get(), name_.c_str()) == 0) {
        temporary_name_.release();
    } else {
        raise_errno(ErrorCode::file_move, errno, fmt::format("replace '{}'", path_));
    }
}

void PosixPendingFile::link_nameless()
{
    const std::string source = fmt::format("/proc/self/fd/{}", file_.get());
    if (::linkat(AT_FDCWD, source.c_str(), directory_.get(), name_.c_str(), AT_SYMLINK_FOLLOW) ==
        0) {
        return;
    }
    if (errno == EEXIST) {
        raise_taken(path_);
    }
    raise_errno(is_out_of_space(errno) ? ErrorCode::file_write : ErrorCode::file_move,
                errno,
                fmt::format("link '{}'", path_));
}

void PosixPendingFile::publish_once()
{
    const char* from = temporary_name_.get();
    const char* to = name_.c_str();
    if (::renameat2(directory_.get(), from, directory_.get(), to, RENAME_NOREPLACE) == 0) {
        temporary_name_.release();
        return;
    }
    // NFS knows no rename that leaves the target alone, but it has hard links.
    const bool try_link = errno == EINVAL || errno == ENOSYS;
    if (try_link && ::linkat(directory_.get(), from, directory_.get(), to, 0) == 0) {
        return; // the temporary name goes with this object
    }
    if (errno == EEXIST) {
        raise_taken(path_);
    }
    raise_errno(is_out_of_space(errno) ? ErrorCode::file_write : ErrorCode::file_move,
                errno,
                fmt::format("rename to '{}'", path_));
}

} // namespace pgstrata::storage
