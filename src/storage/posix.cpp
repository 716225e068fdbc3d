// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/storage/posix.hpp"

#include "storage/checked_path.hpp"
#include "storage/posix_directory.hpp"
#include "storage/posix_file.hpp"

#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

namespace pgstrata::storage {

namespace {

// What is left of a writer that was killed may go once it is this old.
constexpr UnixSeconds kTemporaryLifetime = 86'400;

bool is_absent(int number)
{
    return number == ENOENT || number == ENOTDIR;
}

bool is_temporary(std::string_view name)
{
    return name.ends_with(kTemporarySuffix);
}

// Names in an open directory, in no order.
std::vector<std::string> entry_names(int directory_fd, const std::string& path)
{
    FileDescriptor fd(::fcntl(directory_fd, F_DUPFD_CLOEXEC, 0));
    const Directory directory(fd.is_open() ? ::fdopendir(fd.get()) : nullptr);
    if (!directory) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("list directory '{}'", path));
    }
    fd.release();
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr && errno != 0) {
            raise_errno(ErrorCode::file_read, errno, fmt::format("list directory '{}'", path));
        }
        if (entry == nullptr) {
            return names;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
}

EntryType entry_type(mode_t mode)
{
    if (S_ISREG(mode)) {
        return EntryType::file;
    }
    if (S_ISDIR(mode)) {
        return EntryType::directory;
    }
    return S_ISLNK(mode) ? EntryType::link : EntryType::special;
}

// nullopt when nothing has this name. `parent` is the path of the directory, for messages.
std::optional<EntryInfo>
entry_info(int directory, const std::string& name, int flags, const std::string& parent)
{
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, flags) != 0) {
        if (is_absent(errno)) {
            return std::nullopt;
        }
        const int failure = errno;
        raise_errno(ErrorCode::file_info,
                    failure,
                    fmt::format("get the status of '{}'", join_path(parent, name)));
    }
    EntryInfo result{.name = std::string(file_name(name)),
                     .type = entry_type(status.st_mode),
                     .mtime = status.st_mtim.tv_sec};
    if (result.type == EntryType::file) {
        result.size = static_cast<std::uint64_t>(status.st_size);
    }
    if (result.type == EntryType::link) {
        std::array<char, PATH_MAX> target{};
        const auto size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
        result.destination.assign(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    return result;
}

class PosixSource final : public RandomSource {
public:
    PosixSource(FileDescriptor file, std::uint64_t size, std::string path)
        : file_(std::move(file)), size_(size), path_(std::move(path))
    {
    }
    std::uint64_t size() const override { return size_; }
    std::size_t read_at(std::uint64_t offset, MutableBytes out) const override
    {
        return offset >= size_ ? 0 : pread_fully(file_.get(), out, offset, path_);
    }

private:
    FileDescriptor file_;
    std::uint64_t size_;
    std::string path_;
};

class PosixStorage final : public Storage {
public:
    PosixStorage(PosixOptions options, Unfinished unfinished)
        : directories_(std::move(options)), unfinished_(unfinished)
    {
    }

    std::string location() const override { return directories_.options().root; }
    bool is_listing_cheap() const noexcept override { return true; }
    std::optional<EntryInfo> info(std::string_view path) const override;
    void list(std::string_view directory, const Visitor& visit) const override;
    std::unique_ptr<RandomSource> open(std::string_view path) const override;
    std::unique_ptr<PendingFile> create(std::string_view path, WriteMode mode) override;
    void make_durable(std::string_view path) override;
    bool remove(std::string_view path) override;
    void remove_all(std::span<const std::string> paths) override;
    bool remove_directory(std::string_view path) override;

private:
    bool remove_entry(std::string_view path, int flags);
    bool unlink_entry(const FileDescriptor& directory, std::string_view path, int flags) const;
    bool remove_old_temporaries(std::string_view directory);

    PosixDirectories directories_;
    Unfinished unfinished_;
};

std::optional<EntryInfo> PosixStorage::info(std::string_view path) const
{
    check_path_or_root(path);
    const std::string absolute = directories_.absolute(path);
    auto result = entry_info(AT_FDCWD, absolute, path.empty() ? 0 : AT_SYMLINK_NOFOLLOW, {});
    if (result && path.empty()) {
        result->name.clear();
    }
    return result;
}

void PosixStorage::list(std::string_view directory, const Visitor& visit) const
{
    check_path_or_root(directory);
    const std::string absolute = directories_.absolute(directory);
    const FileDescriptor fd(::open(absolute.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.is_open()) {
        if (is_absent(errno)) {
            return;
        }
        raise_errno(ErrorCode::path_open, errno, fmt::format("list directory '{}'", absolute));
    }
    std::vector<EntryInfo> entries;
    for (const auto& name : entry_names(fd.get(), absolute)) {
        if (is_temporary(name)) {
            continue;
        }
        if (auto entry = entry_info(fd.get(), name, AT_SYMLINK_NOFOLLOW, absolute)) {
            entries.push_back(std::move(*entry));
        }
    }
    std::sort(entries.begin(), entries.end(), [](const EntryInfo& left, const EntryInfo& right) {
        return left.name < right.name;
    });
    for (const auto& entry : entries) {
        visit(entry);
    }
}

std::unique_ptr<RandomSource> PosixStorage::open(std::string_view path) const
{
    check_path(path);
    std::string absolute = directories_.absolute(path);
    // Not to hang on a pipe someone has put there.
    FileDescriptor file(::open(absolute.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file.is_open()) {
        raise_errno(is_absent(errno) ? ErrorCode::file_missing : ErrorCode::file_open,
                    errno,
                    fmt::format("open '{}'", absolute));
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        raise_errno(ErrorCode::file_info, errno, fmt::format("get the status of '{}'", absolute));
    }
    if (!S_ISREG(status.st_mode)) {
        raise(S_ISDIR(status.st_mode) ? ErrorCode::file_missing : ErrorCode::file_open,
              "unable to open '{}': not a file",
              absolute);
    }
    return std::make_unique<PosixSource>(
        std::move(file), static_cast<std::uint64_t>(status.st_size), std::move(absolute));
}

std::unique_ptr<PendingFile> PosixStorage::create(std::string_view path, WriteMode mode)
{
    check_path(path);
    return std::make_unique<PosixPendingFile>(directories_, path, mode, unfinished_);
}

// The data was durable before it had the name. Which of the directories above are as new as the
// file nobody knows.
void PosixStorage::make_durable(std::string_view path)
{
    check_path(path);
    std::string parent(path);
    do {
        parent = parent_path(parent);
        const auto directory = directories_.find(parent);
        const std::string absolute = directories_.absolute(parent);
        if (!directory.is_open()) {
            raise(ErrorCode::file_missing, "unable to sync directory '{}': it is gone", absolute);
        }
        sync_open_directory(directory.get(), absolute);
    } while (!parent.empty());
}

bool PosixStorage::remove(std::string_view path)
{
    check_path(path);
    return remove_entry(path, 0);
}

bool PosixStorage::remove_directory(std::string_view path)
{
    check_path(path);
    return remove_entry(path, AT_REMOVEDIR) ||
           (remove_old_temporaries(path) && remove_entry(path, AT_REMOVEDIR));
}

// What lies in one directory and stands together is made durable together.
void PosixStorage::remove_all(std::span<const std::string> paths)
{
    for (std::size_t i = 0; i < paths.size();) {
        const std::string parent(parent_path(paths[i]));
        const auto directory = directories_.find(parent);
        bool is_changed = false;
        for (; i < paths.size() && parent_path(paths[i]) == parent; ++i) {
            check_path(paths[i]);
            is_changed |= directory.is_open() && unlink_entry(directory, paths[i], 0);
        }
        if (is_changed) {
            sync_open_directory(directory.get(), directories_.absolute(parent));
        }
    }
}

bool PosixStorage::remove_entry(std::string_view path, int flags)
{
    const auto directory = directories_.find(parent_path(path));
    if (!directory.is_open() || !unlink_entry(directory, path, flags)) {
        return false;
    }
    sync_open_directory(directory.get(), parent_path(directories_.absolute(path)));
    return true;
}

bool PosixStorage::unlink_entry(const FileDescriptor& directory,
                                std::string_view path,
                                int flags) const
{
    const std::string absolute = directories_.absolute(path);
    if (::unlinkat(directory.get(), std::string(file_name(path)).c_str(), flags) != 0) {
        if (is_absent(errno) || errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) {
            return false;
        }
        raise_errno(flags == 0 ? ErrorCode::file_remove : ErrorCode::path_remove,
                    errno,
                    fmt::format("remove '{}'", absolute));
    }
    return true;
}

bool PosixStorage::remove_old_temporaries(std::string_view directory)
{
    auto fd = directories_.find(directory);
    if (!fd.is_open()) {
        return false;
    }
    bool removed = false;
    const std::string absolute = directories_.absolute(directory);
    for (const auto& name : entry_names(fd.get(), absolute)) {
        const auto entry = is_temporary(name)
                               ? entry_info(fd.get(), name, AT_SYMLINK_NOFOLLOW, absolute)
                               : std::nullopt;
        if (entry && entry->mtime < now_seconds() - kTemporaryLifetime) {
            removed |= ::unlinkat(fd.get(), name.c_str(), 0) == 0;
        }
    }
    return removed;
}

} // namespace

std::unique_ptr<Storage> make_posix_storage(PosixOptions options, Unfinished unfinished)
{
    return std::make_unique<PosixStorage>(std::move(options), unfinished);
}

std::unique_ptr<Storage> make_posix_storage(PosixOptions options)
{
    return make_posix_storage(std::move(options), Unfinished::nameless);
}

} // namespace pgstrata::storage
