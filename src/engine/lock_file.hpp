// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/lock.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <string>
#include <vector>

namespace pgstrata::engine {

// One lock file, held and removed at the end.
class LockFile : NonCopyable {
public:
    // Throws Error(lock_acquire) when another process holds it.
    explicit LockFile(std::string path);
    ~LockFile();

    void write(const std::string& body);

private:
    bool try_acquire();

    std::string path_;
    FileDescriptor file_;
};

std::string lock_file_name(std::string_view stanza, LockType type, unsigned repo_key);
// Whether `name` is a lock file of the stanza, or of any when it is empty.
bool is_lock_file_of(std::string_view name, std::string_view stanza);
// nullopt when nobody holds the lock file `path`. With `remove_stale` one that nobody holds is
// removed.
enum class StaleFile : std::uint8_t { keep, remove };
std::optional<LockStatus> inspect_lock_file(const std::string& path, StaleFile stale);
// Makes the directory for lock and stop files. Returns what it made, outermost first. Throws as
// check_lock_directory().
std::vector<std::string> make_lock_directory(const std::string& path);
// False when it is not there. Throws Error(path_open) when it is another user's: whoever came first
// in /tmp could make locks and stop files appear and vanish.
bool check_lock_directory(const std::string& path);

// The directory for lock files while some are held. What root has made of it is left to the heir of
// `home` (heir_of in ownership.hpp), or removed where there is none: others need it too.
class LockDirectory : NonCopyable {
public:
    LockDirectory(const std::string& path, std::string home);
    ~LockDirectory();

private:
    std::vector<std::string> made_;
    std::string home_;
};

} // namespace pgstrata::engine
