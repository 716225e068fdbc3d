// SPDX-License-Identifier: PostgreSQL
#include "engine/lock_file.hpp"

#include "pgstrata/util/ownership.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/time.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pgstrata::engine {

namespace {

constexpr std::array<std::string_view, 3> kTypeNames = {"archive", "backup", "restore"};
constexpr std::string_view kLockSuffix = ".lock";
constexpr unsigned kLockDirectoryMode = 0770;
constexpr std::size_t kLongestBody = 4096;
// Somebody who only looks at a lock holds it for an instant.
constexpr int kAttempts = 5;
constexpr std::uint64_t kAttemptMilliseconds = 10;

bool is_same_file(int fd, const std::string& path)
{
    struct stat open_file {};
    struct stat named {};
    return ::fstat(fd, &open_file) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

// False when another process has the lock.
bool try_lock(int fd, int operation, const std::string& path)
{
    while (::flock(fd, operation | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return false;
        }
        if (errno != EINTR) {
            raise_errno(ErrorCode::lock_acquire, errno, fmt::format("lock '{}'", path));
        }
    }
    return true;
}

std::optional<std::uint64_t> unsigned_member(const nlohmann::json& body, const char* name)
{
    const auto found = body.find(name);
    if (found == body.end() || !found->is_number_unsigned()) {
        return std::nullopt;
    }
    return found->get<std::uint64_t>();
}

std::optional<LockStatus> parse_body(std::string_view text)
{
    const auto body = nlohmann::json::parse(text, nullptr, false);
    if (!body.is_object()) {
        return std::nullopt;
    }
    const auto pid = unsigned_member(body, "pid").value_or(0);
    return LockStatus{.pid = pid <= INT32_MAX ? static_cast<std::int64_t>(pid) : 0,
                      .size = unsigned_member(body, "sz"),
                      .size_done = unsigned_member(body, "szCplt"),
                      .percent_hundredths = unsigned_member(body, "pctCplt")};
}

// The holder may be writing right now: one more look helps against half a body.
LockStatus read_body(int fd, const std::string& path)
{
    std::array<std::byte, kLongestBody> bytes{};
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const auto size = pread_fully(fd, bytes, 0, path);
        if (const auto status = parse_body(as_text(ByteView(bytes).first(size)))) {
            return *status;
        }
        sleep_milliseconds(kAttemptMilliseconds);
    }
    return {};
}

} // namespace

LockFile::LockFile(std::string path) : path_(std::move(path))
{
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        if (try_acquire()) {
            return;
        }
        sleep_milliseconds(kAttemptMilliseconds);
    }
    throw Error(
        ErrorCode::lock_acquire,
        fmt::format("unable to acquire lock on file '{}': another process holds it", path_),
        fmt::format("is another command running for this stanza? '{}' has its process id.", path_));
}

LockFile::~LockFile()
{
    if (file_.is_open() && is_same_file(file_.get(), path_)) {
        ::unlink(path_.c_str());
    }
}

bool LockFile::try_acquire()
{
    auto file = open_for_heir(path_, O_RDWR);
    if (!try_lock(file.get(), LOCK_EX, path_)) {
        return false;
    }
    // The former holder may have removed the file between our open and our lock.
    if (!is_same_file(file.get(), path_)) {
        return false;
    }
    file_ = std::move(file);
    return true;
}

void LockFile::write(const std::string& body)
{
    pwrite_fully(file_.get(), as_bytes(body), 0, path_);
    if (::ftruncate(file_.get(), static_cast<off_t>(body.size())) != 0) {
        raise_errno(ErrorCode::file_write, errno, fmt::format("truncate '{}'", path_));
    }
}

std::string lock_file_name(std::string_view stanza, LockType type, unsigned repo_key)
{
    return fmt::format(
        "{}-{}-{}{}", stanza, kTypeNames.at(static_cast<std::size_t>(type)), repo_key, kLockSuffix);
}

bool is_lock_file_of(std::string_view name, std::string_view stanza)
{
    if (!name.ends_with(kLockSuffix)) {
        return false;
    }
    name.remove_suffix(kLockSuffix.size());
    const auto key_at = name.rfind('-');
    const auto key = name.substr(std::min(key_at, name.size() - 1) + 1);
    const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
    if (key_at == std::string_view::npos || key.empty() ||
        !std::all_of(key.begin(), key.end(), is_digit)) {
        return false;
    }
    name = name.substr(0, key_at);
    return std::any_of(kTypeNames.begin(), kTypeNames.end(), [&](std::string_view type) {
        const std::string ending = fmt::format("-{}", type);
        return name.ends_with(ending) && name.size() > ending.size() &&
               (stanza.empty() || name.substr(0, name.size() - ending.size()) == stanza);
    });
}

std::optional<LockStatus> inspect_lock_file(const std::string& path, StaleFile stale)
{
    FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT) {
        return std::nullopt;
    }
    if (!file.is_open()) {
        raise_errno(ErrorCode::file_open, errno, fmt::format("open '{}'", path));
    }
    if (!try_lock(file.get(), stale == StaleFile::remove ? LOCK_EX : LOCK_SH, path)) {
        return read_body(file.get(), path);
    }
    if (stale == StaleFile::remove && is_same_file(file.get(), path)) {
        ::unlink(path.c_str());
    }
    return std::nullopt;
}

std::vector<std::string> make_lock_directory(const std::string& path)
{
    auto made = make_directories(path, kLockDirectoryMode);
    check_lock_directory(path);
    return made;
}

bool check_lock_directory(const std::string& path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return false;
        }
        raise_errno(ErrorCode::path_open, errno, fmt::format("look at '{}'", path));
    }
    if (!is_reliable({status.st_uid, status.st_gid}, ::geteuid())) {
        throw Error(
            ErrorCode::path_open,
            fmt::format("lock directory '{}' belongs to user '{}'", path, user_name(status.st_uid)),
            "have it removed, or set option 'lock-path' to a directory of the operating "
            "system user of PostgreSQL");
    }
    return true;
}

LockDirectory::LockDirectory(const std::string& path, std::string home)
    : made_(make_lock_directory(path)), home_(std::move(home))
{
    // Those who are known already can work beside this process.
    leave_to_heir(made_, home_);
}

LockDirectory::~LockDirectory()
{
    // A restore may have made the directory of the data only now.
    if (::geteuid() != 0 || leave_to_heir(made_, home_)) {
        return;
    }
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
        ::rmdir(path->c_str());
    }
}

} // namespace pgstrata::engine
