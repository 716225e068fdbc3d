// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// Lock files and stop files of this host. They keep commands on one host apart; commands on several
// hosts are kept apart by the lease in the repository.
namespace pgstrata::engine {

enum class LockType : std::uint8_t { archive, backup, restore };

struct LockRequest {
    std::string lock_path;
    std::string stanza;
    std::vector<LockType> types;
    std::vector<unsigned> repo_keys;
    std::uint64_t wait_milliseconds = 0; // for another process that has one of them
    std::string data_directory{};        // whose owner needs the lock directory when root makes it
};

class LockDirectory;
class LockFile;

// Holds {lock_path}/{stanza}-{type}-{repo key}.lock for each type and key until it is destroyed.
class LocalLock {
public:
    // Throws Error(lock_acquire) when another process has one of them at the end of the wait, and
    // Error(terminated) when a signal ends it; then, and while it waits, none is held. Throws
    // Error(path_open) when another user made the directory.
    explicit LocalLock(const LockRequest& request);
    LocalLock(const LocalLock&) = delete;
    LocalLock& operator=(const LocalLock&) = delete;
    ~LocalLock();

    // Tells readers of the lock files how far a copy of `size` bytes is. Any thread. Failures are
    // logged once: a copy does not end because nobody can watch it.
    void update_progress(std::uint64_t size, std::uint64_t done) noexcept;

private:
    void acquire(const std::string& lock_path, const std::set<std::string>& names);

    std::string exec_id_;
    std::unique_ptr<LockDirectory> directory_;
    std::vector<std::unique_ptr<LockFile>> files_;
    std::mutex progress_mutex_;
    std::optional<std::uint64_t> written_share_;
    bool has_warned_ = false;
};

// Calls `attempt` again, with a pause between, while it throws Error(lock_acquire) and the wait is
// not over; then that error is thrown. A signal ends the wait with Error(terminated).
void wait_for_lock(std::uint64_t wait_milliseconds,
                   unsigned pause_milliseconds,
                   const std::function<void()>& attempt);

// What a lock file that is held says. The members about progress are there while a copy runs.
struct LockStatus {
    std::int64_t pid = 0;              // 0 when unknown
    std::optional<std::uint64_t> size; // bytes in all
    std::optional<std::uint64_t> size_done;
    std::optional<std::uint64_t> percent_hundredths; // 1234 is 12.34 %
};

// nullopt when nobody holds the lock; what a killed process left behind counts as not held.
std::optional<LockStatus>
read_lock(const std::string& lock_path, std::string_view stanza, LockType type, unsigned repo_key);

// Stop files: {lock_path}/{stanza}.stop or, for an empty stanza, all.stop.
// False when there was one already.
bool create_stop_file(const std::string& lock_path, const std::string& stanza);
// False when there was none.
bool remove_stop_file(const std::string& lock_path, const std::string& stanza);
bool has_stop_file(const std::string& lock_path, const std::string& stanza);
// Throws Error(stop) when there is one for this stanza or for all, and Error(path_open) when
// another user made the directory.
void check_stop_file(const std::string& lock_path, const std::string& stanza);

// Sends SIGTERM to the processes that hold locks of the stanza (empty: of any) and removes lock
// files that nobody holds. Returns the pids. A process that may not be signalled is logged, and so
// is a lock file of another user, which is left alone unless this process is root's.
std::vector<std::int64_t> terminate_lock_holders(const std::string& lock_path,
                                                 const std::string& stanza);

} // namespace pgstrata::engine
