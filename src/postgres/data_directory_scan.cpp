// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/data_directory.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/file_status.hpp"
#include "pgstrata/util/handle.hpp"
#include "pgstrata/util/path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <unordered_set>
#include <utility>

namespace pgstrata::postgres {

namespace {

constexpr std::string_view kTablespaces = "pg_tblspc";
// How often, and after how many milliseconds each time, it is looked whether a tablespace without
// contents is being dropped.
constexpr unsigned kDropLooks = 10;
constexpr unsigned kDropPause = 50;

void free_text(char* text) noexcept
{
    std::free(text); // NOLINT(cppcoreguidelines-no-malloc): realpath's
}

using Identity = std::pair<dev_t, ino_t>;

// Something was there and is not any more, or is something else now.
bool is_gone(int error_number) noexcept
{
    return error_number == ENOENT || error_number == ENOTDIR;
}

FileType type_of(const struct stat& info) noexcept
{
    if (S_ISREG(info.st_mode)) {
        return FileType::file;
    }
    if (S_ISDIR(info.st_mode)) {
        return FileType::directory;
    }
    return S_ISLNK(info.st_mode) ? FileType::link : FileType::special;
}

DataEntry make_entry(const std::string& path, const struct stat& info)
{
    DataEntry entry;
    entry.path = path;
    entry.type = type_of(info);
    entry.size = entry.type == FileType::file ? static_cast<std::uint64_t>(info.st_size) : 0;
    entry.mtime = modified_at(info);
    entry.mode = info.st_mode & 07777U;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    return entry;
}

bool is_oid(std::string_view name) noexcept
{
    return !name.empty() && name.front() != '0' &&
           name.find_first_not_of("0123456789") == std::string_view::npos;
}

std::vector<std::string> list_names(DIR* directory, const std::string& path)
{
    std::vector<std::string> names;
    while (true) {
        errno = 0;
        const dirent* const entry = ::readdir(directory);
        if (entry == nullptr) {
            break;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    if (errno != 0 && !is_gone(errno)) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("read directory '{}'", path));
    }
    std::sort(names.begin(), names.end());
    return names;
}

// The relations of a directory that have an init fork: nothing else of them survives a crash, so
// nothing else is worth a backup.
std::unordered_set<std::uint32_t> find_unlogged(const std::string& directory,
                                                const std::vector<std::string>& names)
{
    std::unordered_set<std::uint32_t> unlogged;
    for (const std::string& name : names) {
        if (name.find("_init") == std::string::npos) {
            continue;
        }
        const auto file = parse_relation_path(join_path(directory, name));
        if (file && file->fork == Fork::init) {
            unlogged.insert(file->relation);
        }
    }
    return unlogged;
}

class Scanner {
public:
    Scanner(const std::string& data_directory,
            const ScanRules& rules,
            const std::function<void(DataEntry&&)>& visit)
        : root_(data_directory), rules_(rules), visit_(visit)
    {
    }

    void run();

private:
    // What a link leads to.
    struct Target {
        std::string destination; // as readlink gives it
        std::string real_path;
        struct stat info {};
    };

    Directory
    open_directory(int parent, const char* name, int flags, const std::string& path) const;
    void scan_directory(Directory directory, const std::string& path);
    void visit_entry(int parent, const std::string& name, const std::string& path);
    void visit_link(int parent, const std::string& name, const std::string& path);
    std::optional<std::string>
    read_link(int parent, const char* name, const std::string& path) const;
    std::optional<Target> resolve(std::string destination, const std::string& path) const;
    void check_target(const Target& target, const std::string& path) const;
    void report_exclude(const std::string& path, FileType type) const;
    void report_dangling(const std::string& destination, const std::string& path) const;
    bool is_tablespace_here(const std::vector<std::string>& names, const std::string& path) const;

    const std::string& root_;
    const ScanRules& rules_;
    const std::function<void(DataEntry&&)>& visit_;
    std::string real_root_;
    std::vector<Identity> open_; // the directories from the root to the present one
};

std::string real_path_of(const std::string& path)
{
    const Handle<char, &free_text> real(::realpath(path.c_str(), nullptr));
    return real == nullptr ? std::string() : std::string(real.get());
}

void Scanner::run()
{
    Directory directory = open_directory(AT_FDCWD, root_.c_str(), 0, "");
    if (directory == nullptr) {
        raise(ErrorCode::path_missing, "data directory '{}' does not exist", root_);
    }
    real_root_ = real_path_of(root_);
    if (real_root_.empty()) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("resolve '{}'", root_));
    }
    scan_directory(std::move(directory), "");
}

// Null when it is gone.
Directory
Scanner::open_directory(int parent, const char* name, int flags, const std::string& path) const
{
    const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (fd < 0 && is_gone(errno)) {
        return nullptr;
    }
    FileDescriptor file(fd);
    Directory directory(fd < 0 ? nullptr : ::fdopendir(fd));
    if (directory == nullptr) {
        raise_errno(ErrorCode::path_open,
                    errno,
                    fmt::format("open directory '{}'", join_path(root_, path)));
    }
    file.release();
    return directory;
}

void Scanner::scan_directory(Directory directory, const std::string& path)
{
    const int fd = ::dirfd(directory.get());
    struct stat info {};
    if (::fstat(fd, &info) != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("read '{}'", join_path(root_, path)));
    }
    open_.emplace_back(info.st_dev, info.st_ino);
    const auto names = list_names(directory.get(), join_path(root_, path));
    if (parent_path(path) == kTablespaces && !is_tablespace_here(names, path)) {
        open_.pop_back();
        return;
    }
    const auto unlogged = find_unlogged(path, names);
    for (const std::string& name : names) {
        check_cancelled();
        const std::string entry_path = join_path(path, name);
        if (!unlogged.empty()) {
            const auto file = parse_relation_path(entry_path);
            if (file && file->fork != Fork::init && unlogged.contains(file->relation)) {
                continue;
            }
        }
        visit_entry(fd, name, entry_path);
    }
    open_.pop_back();
}

void Scanner::visit_entry(int parent, const std::string& name, const std::string& path)
{
    struct stat info {};
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (is_gone(errno)) {
            return;
        }
        raise_errno(ErrorCode::file_open, errno, fmt::format("read '{}'", join_path(root_, path)));
    }
    const FileType type = type_of(info);
    if (type == FileType::special) {
        log::warn("exclude special file '{}' from backup", join_path(root_, path));
        return;
    }
    const EntryClass decision = classify_entry(path, type, rules_);
    report_exclude(path, type);
    if (decision == EntryClass::skip) {
        return;
    }
    const bool may_be_tablespace =
        is_oid(name) && (type == FileType::link || type == FileType::directory);
    if (parent_path(path) == kTablespaces && !may_be_tablespace) {
        throw Error(ErrorCode::link_expected,
                    fmt::format("'{}' is not a tablespace", join_path(root_, path)),
                    "pg_tblspc should contain only links named by an oid");
    }
    if (type == FileType::link) {
        visit_link(parent, name, path);
        return;
    }
    visit_(make_entry(path, info));
    if (type == FileType::directory && decision == EntryClass::copy) {
        Directory directory = open_directory(parent, name.c_str(), O_NOFOLLOW, path);
        if (directory != nullptr) {
            scan_directory(std::move(directory), path);
        }
    }
}

void Scanner::visit_link(int parent, const std::string& name, const std::string& path)
{
    const auto destination = read_link(parent, name.c_str(), path);
    if (!destination) {
        return;
    }
    const auto target = resolve(*destination, path);
    if (!target) {
        if (read_link(parent, name.c_str(), path)) {
            report_dangling(*destination, path);
        }
        return;
    }
    check_target(*target, path);
    const FileType type = type_of(target->info);
    if (type == FileType::special) {
        log::warn("exclude link '{}' to a special file from backup", join_path(root_, path));
        return;
    }
    DataEntry link = make_entry(path, target->info);
    link.type = FileType::link;
    link.size = 0;
    link.destination = target->destination;
    visit_(std::move(link));
    if (type == FileType::file) {
        visit_(make_entry(path, target->info));
        return;
    }
    if (classify_entry(path, type, rules_) == EntryClass::copy) {
        Directory directory = open_directory(AT_FDCWD, target->real_path.c_str(), 0, path);
        if (directory != nullptr) {
            scan_directory(std::move(directory), path);
        }
    }
}

// nullopt when it is gone.
std::optional<std::string>
Scanner::read_link(int parent, const char* name, const std::string& path) const
{
    std::string destination(PATH_MAX, '\0');
    const ssize_t size = ::readlinkat(parent, name, destination.data(), destination.size());
    if (size < 0 && (is_gone(errno) || errno == EINVAL)) {
        return std::nullopt;
    }
    if (size < 0) {
        raise_errno(
            ErrorCode::file_open, errno, fmt::format("read link '{}'", join_path(root_, path)));
    }
    destination.resize(static_cast<std::size_t>(size));
    return destination;
}

// nullopt when the link leads nowhere.
std::optional<Scanner::Target> Scanner::resolve(std::string destination,
                                                const std::string& path) const
{
    // Not made normal: ".." after a link counts from where the link leads.
    std::string absolute = destination.starts_with('/')
                               ? destination
                               : join_path(join_path(root_, parent_path(path)), destination);
    while (absolute.size() > 1 && absolute.ends_with('/')) {
        absolute.pop_back();
    }
    Target target;
    target.destination = std::move(destination);
    if (::lstat(absolute.c_str(), &target.info) == 0) {
        target.real_path = real_path_of(absolute);
        if (!target.real_path.empty()) {
            return target;
        }
    }
    if (!is_gone(errno) && errno != ELOOP) {
        raise_errno(ErrorCode::path_open,
                    errno,
                    fmt::format("follow link '{}' to '{}'", join_path(root_, path), absolute));
    }
    return std::nullopt;
}

void Scanner::check_target(const Target& target, const std::string& path) const
{
    const auto fail = [&](std::string_view problem) {
        raise(ErrorCode::link_destination,
              "link '{}' to '{}' {}",
              join_path(root_, path),
              target.destination,
              problem);
    };
    if (S_ISLNK(target.info.st_mode)) {
        fail("leads to another link");
    }
    if (is_within(target.real_path, real_root_)) {
        fail("leads into the data directory");
    }
    const bool is_tablespace = parent_path(path) == kTablespaces;
    if (!is_tablespace && is_within(real_root_, target.real_path)) {
        fail("leads to a directory that holds the data directory");
    }
    const Identity identity(target.info.st_dev, target.info.st_ino);
    if (std::find(open_.begin(), open_.end(), identity) != open_.end()) {
        fail("leads to a directory it is in");
    }
}

// Nothing below what is left out is visited, so each is told of once.
void Scanner::report_exclude(const std::string& path, FileType type) const
{
    if (const std::string* const exclude = find_exclude(path, type, rules_)) {
        log::info("exclude {}'{}' from backup using '{}' exclusion",
                  exclude->ends_with('/') ? "contents of " : "",
                  join_path(root_, path),
                  *exclude);
    }
}

void Scanner::report_dangling(const std::string& destination, const std::string& path) const
{
    if (parent_path(path) == kTablespaces) {
        throw Error(ErrorCode::link_destination,
                    fmt::format("tablespace '{}' leads to '{}', which does not exist",
                                join_path(root_, path),
                                destination),
                    "is the file system of the tablespace mounted?");
    }
    throw Error(ErrorCode::file_open,
                fmt::format("link '{}' leads to '{}', which does not exist",
                            join_path(root_, path),
                            destination),
                fmt::format("is the file system mounted that it was on? Where nothing is missing, "
                            "'exclude={}' leaves the link out",
                            path));
}

// The server makes the directory of its version with the tablespace, and drops it just before it
// drops the link. Where it is not there, another file system lies in the place of the right one.
bool Scanner::is_tablespace_here(const std::vector<std::string>& names,
                                 const std::string& path) const
{
    const std::string version = fmt::format("PG_{}_{}", rules_.major, rules_.catalog_version);
    if (std::ranges::find(names, version) != names.end()) {
        return true;
    }
    const std::string place = join_path(root_, path);
    for (unsigned look = 0; look < kDropLooks; ++look) {
        struct stat info {};
        if (::lstat(place.c_str(), &info) != 0 && is_gone(errno)) {
            return false;
        }
        sleep_cancellable(kDropPause);
    }
    throw Error(ErrorCode::file_open,
                fmt::format("tablespace '{}' has no directory '{}'", place, version),
                "is the file system of the tablespace mounted?");
}

} // namespace

void scan_data_directory(const std::string& data_directory,
                         const ScanRules& rules,
                         const std::function<void(DataEntry&&)>& visit)
{
    Scanner(data_directory, rules, visit).run();
}

} // namespace pgstrata::postgres
