// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_target.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/postgres/control_file.hpp"
#include "pgstrata/util/cancel.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace pgstrata::engine {

namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path)
{
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

void make_directories(const std::string& path)
{
    std::error_code failure;
    fs::create_directories(path, failure);
    if (failure) {
        raise_errno(
            ErrorCode::path_create, failure.value(), fmt::format("create directory '{}'", path));
    }
}

void check_rights(const std::string& path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("look at '{}'", path));
    }
    if (!S_ISDIR(status.st_mode)) {
        raise(ErrorCode::path_open, "'{}' is no directory", path);
    }
    const bool is_root = ::geteuid() == 0;
    if (!is_root &&
        (status.st_uid != ::geteuid() || ::access(path.c_str(), R_OK | W_OK | X_OK) != 0)) {
        throw Error(ErrorCode::path_open,
                    fmt::format("unable to restore to path '{}' not owned by current user", path),
                    "run restore as the operating system user that owns the data directory");
    }
}

bool is_empty(const std::string& path)
{
    std::error_code failure;
    const bool empty = fs::is_empty(path, failure);
    if (failure) {
        raise_errno(ErrorCode::path_open, failure.value(), fmt::format("list '{}'", path));
    }
    return empty;
}

// Removes what is in a directory; the directory itself stays.
void clear_directory(const std::string& path, const std::vector<std::string>& keep)
{
    std::error_code failure;
    std::vector<fs::directory_entry> entries;
    for (auto entry = fs::directory_iterator(path, failure);
         !failure && entry != fs::directory_iterator();
         entry.increment(failure)) {
        entries.push_back(*entry);
    }
    if (failure) {
        raise_errno(ErrorCode::path_open, failure.value(), fmt::format("list '{}'", path));
    }
    for (const fs::directory_entry& entry : entries) {
        check_cancelled();
        const std::string child = entry.path().string();
        if (std::ranges::find(keep, entry.path().filename().string()) != keep.end()) {
            continue;
        }
        if (entry.is_directory() && !entry.is_symlink()) {
            clear_directory(child, {});
            if (::rmdir(child.c_str()) != 0 && errno != EBUSY) {
                raise_errno(
                    ErrorCode::path_remove, errno, fmt::format("remove directory '{}'", child));
            }
        } else if (::unlink(child.c_str()) != 0) {
            raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", child));
        }
    }
}

} // namespace

void check_not_running(const std::string& data_directory)
{
    if (exists(join_path(data_directory, "postmaster.pid"))) {
        throw Error(ErrorCode::pg_running,
                    "unable to restore while PostgreSQL is running",
                    fmt::format("presence of 'postmaster.pid' in '{}' indicates PostgreSQL is "
                                "running; remove it only "
                                "if PostgreSQL is certainly not running",
                                data_directory));
    }
}

void prepare_roots(const RestoreLayout& layout, bool is_forced)
{
    const std::vector<std::string> roots = layout.roots();
    const std::string& data_directory = roots.front();
    if (is_forced && !exists(join_path(data_directory, "PG_VERSION")) &&
        !exists(join_path(data_directory, kRestoreMarker))) {
        log::warn("--force is ignored: neither PG_VERSION nor {} is in '{}', so it does not look "
                  "like a cluster",
                  kRestoreMarker,
                  data_directory);
        is_forced = false;
    }
    // All are looked at before any is made.
    for (const std::string& root : roots) {
        if (!exists(root)) {
            continue;
        }
        check_rights(root);
        if (!is_forced && !is_empty(root)) {
            throw Error(
                ErrorCode::path_not_empty,
                fmt::format("unable to restore to path '{}' because it contains files", root),
                "empty it, choose another path, or use --force to replace what is there");
        }
    }
    for (const std::string& root : roots) {
        if (!exists(root)) {
            make_directories(root);
        }
    }
}

void clear_roots(const RestoreLayout& layout, const std::vector<std::string>& keep)
{
    const std::vector<std::string> roots = layout.roots();
    const std::string control = join_path(roots.front(), postgres::kControlFilePath);
    if (::unlink(control.c_str()) == 0) {
        sync_directory(parent_path(control));
    } else if (errno != ENOENT && errno != ENOTDIR) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", control));
    }
    for (const std::string& root : roots) {
        clear_directory(root, root == roots.front() ? keep : std::vector<std::string>());
    }
}

} // namespace pgstrata::engine
