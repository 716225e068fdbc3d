// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_target.hpp"

#include "engine/root_contents.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/path.hpp"

#include <sys/stat.h>
#include <unistd.h>

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

// The umask may be 0: PostgreSQL refuses directories that others may enter, and whoever may write
// to one above could put another cluster in the place of this one. Those above that root makes are
// passed by the owner of the cluster.
void make_target_directory(const std::string& path)
{
    constexpr unsigned kOwnerOnly = 0700;
    constexpr unsigned kPassable = 0755;
    const std::string above = parent_path(path);
    if (!above.empty()) {
        make_directories(above, ::geteuid() == 0 ? kPassable : kOwnerOnly);
    }
    make_directories(path, kOwnerOnly);
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
    if (::geteuid() == 0) {
        return;
    }
    if (status.st_uid != ::geteuid()) {
        throw Error(ErrorCode::path_open,
                    fmt::format("unable to restore to path '{}' not owned by current user", path),
                    "run restore as the operating system user that owns the data directory");
    }
    if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
        throw Error(ErrorCode::path_open,
                    fmt::format("unable to restore to path '{}' without rwx permissions", path),
                    "give its owner the right to read, write and search it, as chmod u+rwx does");
    }
}

bool is_empty(const std::string& path)
{
    std::error_code failure;
    auto entry = fs::directory_iterator(path, failure);
    while (!failure && entry != fs::directory_iterator() && is_lost_and_found(*entry)) {
        entry.increment(failure);
    }
    if (failure) {
        raise_errno(ErrorCode::path_open, failure.value(), fmt::format("list '{}'", path));
    }
    return entry == fs::directory_iterator();
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

// A directory that make_target_directory() will be asked for.
void check_can_be_made(const std::string& path)
{
    std::string above = parent_path(path);
    while (above != "/" && !exists(above)) {
        above = parent_path(above);
    }
    if (::access(above.c_str(), W_OK | X_OK) != 0) {
        throw Error(
            ErrorCode::path_create,
            fmt::format("unable to create directory '{}': '{}' may not be written to", path, above),
            "make it, and give it to the user that runs the restore");
    }
}

// A directory, if it is there.
void check_root(const std::string& root, bool may_hold_files)
{
    if (!exists(root)) {
        check_can_be_made(root);
        return;
    }
    check_rights(root);
    if (!may_hold_files && !is_empty(root)) {
        throw Error(ErrorCode::path_not_empty,
                    fmt::format("unable to restore to path '{}' because it contains files", root),
                    "empty it, choose another path, or use --delta or --force to replace what "
                    "is there");
    }
}

// The same for the file that a link will lead to.
void check_linked_file(const std::string& path, bool may_be_there)
{
    const std::string directory = parent_path(path);
    if (exists(directory) && ::access(directory.c_str(), W_OK | X_OK) != 0) {
        raise_errno(ErrorCode::path_open, errno, fmt::format("write to '{}'", directory));
    }
    struct stat status {};
    const bool is_there = ::lstat(path.c_str(), &status) == 0;
    if (is_there && (!may_be_there || S_ISDIR(status.st_mode))) {
        throw Error(ErrorCode::file_exists,
                    fmt::format("unable to restore file '{}' because it exists", path),
                    "remove it, choose another place for the link, or use --delta or --force to "
                    "replace it");
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

ReplaceOptions check_roots(const RestoreLayout& layout, ReplaceOptions options)
{
    const std::vector<std::string> roots = layout.roots();
    const std::string& data_directory = roots.front();
    if ((options.is_forced || options.is_delta) &&
        !exists(join_path(data_directory, "PG_VERSION")) &&
        !exists(join_path(data_directory, kRestoreMarker))) {
        log::warn("{} ignored: neither PG_VERSION nor {} is in '{}', so it does not look like a "
                  "cluster",
                  !options.is_delta    ? "--force is"
                  : !options.is_forced ? "--delta is"
                                       : "--delta and --force are",
                  kRestoreMarker,
                  data_directory);
        options = {};
    }
    const bool may_hold_files = options.is_forced || options.is_delta;
    check_separate(roots);
    for (const std::string& root : roots) {
        check_root(root, may_hold_files);
    }
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            check_linked_file(link.target, may_hold_files);
        } else if (link.is_tablespace && exists(link.target)) {
            check_rights(link.target); // it gets the mode of the backup, like what is in it
        }
    }
    return options;
}

void make_roots(const RestoreLayout& layout)
{
    std::vector<std::string> directories = layout.roots();
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            directories.push_back(parent_path(link.target));
        }
    }
    for (const std::string& directory : directories) {
        if (!exists(directory)) {
            make_target_directory(directory);
        }
    }
}

} // namespace pgstrata::engine
