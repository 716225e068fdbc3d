// SPDX-License-Identifier: PostgreSQL
#include "engine/root_contents.hpp"

#include "pgstrata/util/path.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace fs = std::filesystem;
using repository::ManifestFile;

namespace {

constexpr const char* kLostAndFound = "lost+found";

} // namespace

RootContents::RootContents(const RestoreLayout& layout, const repository::Manifest& manifest)
    : layout_(layout), manifest_(manifest)
{
    for (const auto& directory : manifest.directories) {
        directories_.insert(directory.path);
    }
    for (const auto& link : layout.plain()) {
        if (link.is_directory) {
            directories_.insert(link.path);
        }
    }
    for (const RestoredLink& link : layout.links()) {
        links_.emplace(link.path, &link);
    }
}

bool RootContents::belongs(const fs::directory_entry& entry, const std::string& name) const
{
    if (const auto link = links_.find(name); link != links_.end()) {
        std::error_code failure;
        return entry.is_symlink() &&
               fs::read_symlink(entry.path(), failure) == link->second->destination;
    }
    if (directories_.contains(name)) {
        return is_real_directory(entry);
    }
    return !entry.is_symlink() && entry.is_regular_file() && find_file(name) != nullptr;
}

const ManifestFile* RootContents::find_file(const std::string& name) const
{
    const auto file = std::ranges::lower_bound(manifest_.files, name, {}, &ManifestFile::path);
    const bool is_there =
        file != manifest_.files.end() && file->path == name && !layout_.is_left_out(name);
    return is_there ? &*file : nullptr;
}

bool is_real_directory(const fs::directory_entry& entry)
{
    return !entry.is_symlink() && entry.is_directory();
}

bool is_lost_and_found(std::string_view name,
                       const struct stat& entry,
                       const struct stat& directory,
                       const struct stat& above)
{
    return name == kLostAndFound && S_ISDIR(entry.st_mode) && entry.st_uid == 0 &&
           directory.st_dev != above.st_dev;
}

bool is_lost_and_found(const fs::directory_entry& entry)
{
    const fs::path& path = entry.path();
    if (path.filename() != kLostAndFound) {
        return false;
    }
    struct stat status {};
    struct stat directory {};
    struct stat above {};
    return ::lstat(path.c_str(), &status) == 0 &&
           ::stat(path.parent_path().c_str(), &directory) == 0 &&
           ::stat((path.parent_path() / "..").c_str(), &above) == 0 &&
           is_lost_and_found(kLostAndFound, status, directory, above);
}

std::string name_of_root(const RestoreLayout& layout, const RestoredLink& link)
{
    return link.is_tablespace ? join_path(link.path, layout.tablespace_version_directory())
                              : link.path;
}

} // namespace pgstrata::engine
