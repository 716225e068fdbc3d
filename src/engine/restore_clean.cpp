// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/engine/restore_clean.hpp"

#include "engine/root_contents.hpp"

#include "pgstrata/engine/restore_target.hpp"
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

bool is_link(const std::string& path)
{
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

void remove_if_there(const std::string& path)
{
    if (::unlink(path.c_str()) == 0) {
        sync_directory(parent_path(path));
    } else if (errno != ENOENT && errno != ENOTDIR && errno != EISDIR) {
        raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", path));
    }
}

// Modes are set in the end; until then no directory of ours may be in the way.
void allow_changes(const std::string& path)
{
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
        (status.st_mode & S_IRWXU) != S_IRWXU) {
        ::chmod(path.c_str(), (status.st_mode & 07777U) | S_IRWXU);
    }
}

std::vector<fs::directory_entry> entries_of(const std::string& path)
{
    allow_changes(path);
    std::error_code failure;
    std::vector<fs::directory_entry> entries;
    for (auto entry = fs::directory_iterator(path, failure);
         !failure && entry != fs::directory_iterator();
         entry.increment(failure)) {
        if (!is_lost_and_found(*entry)) {
            entries.push_back(*entry);
        }
    }
    if (failure) {
        raise_errno(ErrorCode::path_open, failure.value(), fmt::format("list '{}'", path));
    }
    return entries;
}

// With all that is in it.
void remove_entry(const fs::directory_entry& entry)
{
    check_cancelled();
    const std::string path = entry.path().string();
    if (!is_real_directory(entry)) {
        if (::unlink(path.c_str()) != 0) {
            raise_errno(ErrorCode::file_remove, errno, fmt::format("remove '{}'", path));
        }
        return;
    }
    for (const fs::directory_entry& child : entries_of(path)) {
        remove_entry(child);
    }
    if (::rmdir(path.c_str()) != 0 && errno != EBUSY) {
        raise_errno(ErrorCode::path_remove, errno, fmt::format("remove directory '{}'", path));
    }
}

// Removes what is in a directory; the directory itself stays.
void clear_directory(const std::string& path, const std::vector<std::string>& keep)
{
    for (const fs::directory_entry& entry : entries_of(path)) {
        check_cancelled();
        if (std::ranges::find(keep, entry.path().filename().string()) == keep.end()) {
            remove_entry(entry);
        }
    }
}

// Compares what lies in the roots with what the manifest has.
class Cleaner : NonCopyable {
public:
    Cleaner(const RestoreLayout& layout, const repository::Manifest& manifest)
        : contents_(layout, manifest)
    {
    }

    // `path` is the place, `name` the path in the manifest.
    void clean(const std::string& path,
               const std::string& name,
               const std::vector<std::string>& keep) const
    {
        for (const fs::directory_entry& entry : entries_of(path)) {
            check_cancelled();
            const std::string last = entry.path().filename().string();
            if (std::ranges::find(keep, last) != keep.end()) {
                continue;
            }
            const std::string child = join_path(name, last);
            if (!contents_.belongs(entry, child)) {
                remove_entry(entry);
            } else if (is_real_directory(entry)) {
                clean(entry.path().string(), child, {});
            }
        }
    }

private:
    RootContents contents_;
};

// What a link will lead to is written in place, but nothing is written through it.
void clean_linked_file(const std::string& path)
{
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
        remove_if_there(path);
    }
}

} // namespace

void remove_control_files(const RestoreLayout& layout)
{
    // The old cluster's, which a link may hide, and the one that would be found in the new place.
    const std::string data_directory = layout.roots().front();
    const std::string old_directory =
        join_path(data_directory, parent_path(postgres::kControlFilePath));
    remove_if_there(is_link(old_directory) ? old_directory
                                           : join_path(data_directory, postgres::kControlFilePath));
    remove_if_there(layout.physical_path(postgres::kControlFilePath));
}

void clear_roots(const RestoreLayout& layout, const std::vector<std::string>& keep)
{
    remove_control_files(layout);
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            remove_if_there(link.target);
        }
    }
    const std::vector<std::string> roots = layout.roots();
    const std::array<std::string, 2> signs = {"PG_VERSION", std::string(kRestoreMarker)};
    std::vector<std::string> keep_longer = keep;
    keep_longer.insert(keep_longer.end(), std::begin(signs), std::end(signs));
    for (const std::string& root : roots) {
        clear_directory(root, root == roots.front() ? keep_longer : std::vector<std::string>());
    }
    clear_directory(roots.front(), keep);
}

void clean_roots(const RestoreLayout& layout,
                 const repository::Manifest& manifest,
                 const std::vector<std::string>& keep)
{
    const Cleaner cleaner(layout, manifest);
    for (const RestoredLink& link : layout.links()) {
        if (!link.is_directory) {
            clean_linked_file(link.target);
            continue;
        }
        const std::string name = name_of_root(layout, link);
        cleaner.clean(layout.physical_path(name), name, {});
    }
    std::vector<std::string> keep_marker = keep;
    keep_marker.emplace_back(kRestoreMarker);
    cleaner.clean(layout.roots().front(), "", keep_marker);
}

} // namespace pgstrata::engine
