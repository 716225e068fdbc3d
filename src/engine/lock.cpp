// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/lock.hpp"

#include "engine/lock_file.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/directory.hpp"
#include "pgstrata/util/path.hpp"
#include "pgstrata/util/process.hpp"
#include "pgstrata/util/time.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <set>

namespace pgstrata::engine {

namespace {

constexpr unsigned kStopFileMode = 0640;
constexpr std::uint64_t kWholeHundredths = 10'000; // 100 %
constexpr std::uint64_t kProgressStep = 10;        // 0.10 %
constexpr unsigned kLockPause = 100;               // milliseconds
constexpr double kMilliseconds = 1000;             // in a second

// A stanza is part of a file name.
void check_stanza(std::string_view stanza)
{
    if (!is_safe_relative_path(stanza) || stanza.find('/') != std::string_view::npos) {
        raise(ErrorCode::parameter_invalid, "'{}' is not a stanza name", stanza);
    }
}

nlohmann::json lock_body(const std::string& exec_id)
{
    return {{"execId", exec_id}, {"pid", ::getpid()}};
}

std::uint64_t share_of(std::uint64_t size, std::uint64_t done)
{
    if (size == 0 || done >= size) {
        return kWholeHundredths;
    }
    return static_cast<std::uint64_t>(static_cast<double>(done) / static_cast<double>(size) *
                                      static_cast<double>(kWholeHundredths));
}

std::string stop_file(const std::string& lock_path, const std::string& stanza)
{
    if (!stanza.empty()) {
        check_stanza(stanza);
    }
    return join_path(lock_path, (stanza.empty() ? "all" : stanza) + ".stop");
}

bool may_exist(const std::string& path)
{
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    // What cannot be looked at may be there: a stop must not be missed.
    if (errno != ENOENT && errno != ENOTDIR) {
        raise_errno(ErrorCode::file_open, errno, fmt::format("look for '{}'", path));
    }
    return false;
}

std::vector<std::string> lock_files_of(const std::string& lock_path, const std::string& stanza)
{
    const Directory directory(::opendir(lock_path.c_str()));
    if (!directory && errno != ENOENT) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("list directory '{}'", lock_path));
    }
    std::vector<std::string> files;
    while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
        const std::string_view name = static_cast<const char*>(entry->d_name);
        if (is_lock_file_of(name, stanza)) {
            files.push_back(join_path(lock_path, name));
        }
    }
    return files;
}

// What another user has written there could name any process of ours.
bool is_own(const std::string& path)
{
    struct stat status {};
    return ::geteuid() == 0 ||
           (::lstat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid());
}

} // namespace

LocalLock::LocalLock(const LockRequest& request)
    : exec_id_(fmt::format("{}-{}", ::getpid(), random_tag()))
{
    check_stanza(request.stanza);
    directory_ = std::make_unique<LockDirectory>(request.lock_path, request.data_directory);
    std::set<std::string> names;
    for (const auto type : request.types) {
        for (const unsigned key : request.repo_keys) {
            names.insert(lock_file_name(request.stanza, type, key));
        }
    }
    wait_for_lock(
        request.wait_milliseconds, kLockPause, [&] { acquire(request.lock_path, names); });
}

// All or none: who waits for one lock must not keep others from theirs.
void LocalLock::acquire(const std::string& lock_path, const std::set<std::string>& names)
{
    std::vector<std::unique_ptr<LockFile>> files;
    for (const auto& name : names) {
        files.push_back(std::make_unique<LockFile>(join_path(lock_path, name)));
        files.back()->write(lock_body(exec_id_).dump());
    }
    files_ = std::move(files);
}

LocalLock::~LocalLock() = default;

void LocalLock::update_progress(std::uint64_t size, std::uint64_t done) noexcept
{
    try {
        const std::lock_guard lock(progress_mutex_);
        const std::uint64_t share = share_of(size, done);
        const bool is_small_step = written_share_ && share != kWholeHundredths &&
                                   share >= *written_share_ &&
                                   share - *written_share_ <= kProgressStep;
        if (is_small_step || written_share_ == share || has_warned_) {
            return;
        }
        written_share_ = share;
        auto body = lock_body(exec_id_);
        body["pctCplt"] = share;
        body["sz"] = size;
        body["szCplt"] = done;
        try {
            for (const auto& file : files_) {
                file->write(body.dump());
            }
        } catch (const Error& error) {
            has_warned_ = true;
            log::warn("the progress is no longer shown: {}", error.what());
        }
    } catch (const std::exception&) {
        // Out of memory: the copy that comes next will say so.
    }
}

void wait_for_lock(std::uint64_t wait_milliseconds,
                   unsigned pause_milliseconds,
                   const std::function<void()>& attempt)
{
    const std::uint64_t begin = monotonic_milliseconds();
    for (bool is_first = true;; is_first = false) {
        try {
            attempt();
            return;
        } catch (const Error& error) {
            const std::uint64_t waited = monotonic_milliseconds() - begin;
            if (error.code() != ErrorCode::lock_acquire || waited >= wait_milliseconds) {
                throw;
            }
            if (is_first) {
                log::info("waiting for at most {} s: {}",
                          static_cast<double>(wait_milliseconds) / kMilliseconds,
                          error.what());
            }
            sleep_cancellable(static_cast<unsigned>(
                std::min<std::uint64_t>(pause_milliseconds, wait_milliseconds - waited)));
        }
    }
}

std::optional<LockStatus>
read_lock(const std::string& lock_path, std::string_view stanza, LockType type, unsigned repo_key)
{
    check_stanza(stanza);
    return inspect_lock_file(join_path(lock_path, lock_file_name(stanza, type, repo_key)),
                             StaleFile::keep);
}

bool create_stop_file(const std::string& lock_path, const std::string& stanza)
{
    const std::string path = stop_file(lock_path, stanza);
    make_lock_directory(lock_path);
    const FileDescriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kStopFileMode));
    if (!file.is_open() && errno != EEXIST) {
        raise_errno(ErrorCode::file_open, errno, fmt::format("create '{}'", path));
    }
    return file.is_open();
}

bool remove_stop_file(const std::string& lock_path, const std::string& stanza)
{
    const std::string path = stop_file(lock_path, stanza);
    if (::unlink(path.c_str()) == 0) {
        return true;
    }
    if (errno != ENOENT) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", path));
    }
    return false;
}

bool has_stop_file(const std::string& lock_path, const std::string& stanza)
{
    return may_exist(stop_file(lock_path, stanza));
}

void check_stop_file(const std::string& lock_path, const std::string& stanza)
{
    constexpr const char* kHint = "the start command removes it.";
    if (!check_lock_directory(lock_path)) {
        return;
    }
    if (has_stop_file(lock_path, "")) {
        throw Error(ErrorCode::stop, "stop file exists for all stanzas", kHint);
    }
    if (has_stop_file(lock_path, stanza)) {
        throw Error(ErrorCode::stop, fmt::format("stop file exists for stanza {}", stanza), kHint);
    }
}

std::vector<std::int64_t> terminate_lock_holders(const std::string& lock_path,
                                                 const std::string& stanza)
{
    std::set<std::int64_t> pids;
    for (const auto& path : lock_files_of(lock_path, stanza)) {
        if (!is_own(path)) {
            log::warn("lock file '{}' is another user's and is left", path);
            continue;
        }
        const auto status = inspect_lock_file(path, StaleFile::remove);
        if (status && status->pid > 1 && status->pid != ::getpid()) {
            pids.insert(status->pid);
        }
    }
    std::vector<std::int64_t> terminated;
    for (const auto pid : pids) {
        if (::kill(static_cast<pid_t>(pid), SIGTERM) == 0) {
            terminated.push_back(pid);
        } else if (errno != ESRCH) {
            log::warn("unable to send SIGTERM to process {}: is it another user's?", pid);
        }
    }
    return terminated;
}

} // namespace pgstrata::engine
