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
#include <array>
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

bool is_link(const std::string& path)
{
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
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

// The links of this host may lead to places that only look different.
void check_separate(const std::vector<std::string>& roots)
{
    std::vector<std::string> places;
    for (const std::string& root : roots) {
        std::error_code failure;
        places.push_back(fs::weakly_canonical(root, failure).string());
        if (failure) {
            raise_errno(ErrorCode::path_open, failure.value(), fmt::format("look at '{}'", root));
        }
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
        for (std::size_t j = 0; j < places.size(); ++j) {
            if (i != j && is_within(places[i], places[j])) {
                raise(ErrorCode::link_destination,
                      "'{}' and '{}' lead to places that overlap ('{}' and '{}')",
                      roots[j],
                      roots[i],
                      places[j],
                      places[i]);
            }
        }
    }
}

// A directory that must be empty or forced, if it is there.
void check_root(const std::string& root, bool is_forced)
{
    if (!exists(root)) {
        return;
    }
    check_rights(root);
    if (!is_forced && !is_empty(root)) {
        throw Error(ErrorCode::path_not_empty,
                    fmt::format("unable to restore to path '{}' because it contains files", root),
                    "empty it, choose another path, or use --force to replace what is there");
    }
}

// The same for the file that a link will lead to.
void check_linked_file(const std::string& path, bool is_forced)
{
    const std::string directory = parent_path(path);
    if (exists(directory) && ::access(directory.c_str(), W_OK | X_OK) != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("write to '{}'", directory));
    }
    struct stat status {};
    const bool is_there = ::lstat(path.c_str(), &status) == 0;
    if (is_there && (!is_forced || S_ISDIR(status.st_mode))) {
        throw Error(ErrorCode::file_exists,
                    fmt::format("unable to restore file '{}' because it exists", path),
                    "remove it, choose another place for the link, or use --force to replace it");
    }
}

void remove_file(const std::string& path)
{
    if (::unlink(path.c_str()) == 0) {
        sync_directory(parent_path(path));
    } else if (errno != ENOENT && errno != ENOTDIR) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", path));
    }
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
    check_separate(roots);
    std::vector<std::string> directories = roots;
    for (const std::string& root : roots) {
        check_root(root, is_forced);
    }
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            check_linked_file(link.target, is_forced);
            directories.push_back(parent_path(link.target));
        }
    }
    for (const std::string& directory : directories) {
        if (!exists(directory)) {
            make_directories(directory);
        }
    }
}

void clear_roots(const RestoreLayout& layout, const std::vector<std::string>& keep)
{
    const std::vector<std::string> roots = layout.roots();
    // The old cluster's, which a link may hide, and the one that would be found in the new place.
    const std::string old_directory =
        join_path(roots.front(), parent_path(postgres::kControlFilePath));
    remove_file(is_link(old_directory) ? old_directory
                                       : join_path(roots.front(), postgres::kControlFilePath));
    remove_file(layout.physical_path(postgres::kControlFilePath));
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            remove_file(link.target);
        }
    }
    // What shows that force may be used here goes last, so that a clearing that is cut off can be
    // repeated.
    const std::array<std::string, 2> signs = {"PG_VERSION", std::string(kRestoreMarker)};
    std::vector<std::string> keep_longer = keep;
    keep_longer.insert(keep_longer.end(), std::begin(signs), std::end(signs));
    for (const std::string& root : roots) {
        clear_directory(root, root == roots.front() ? keep_longer : std::vector<std::string>());
    }
    clear_directory(roots.front(), keep);
}

} // namespace pgstrata::engine
