// SPDX-License-Identifier: PostgreSQL
#include "engine/root_contents.hpp"

#include "pgstrata/util/path.hpp"

#include <algorithm>

namespace pgstrata::engine {

namespace fs = std::filesystem;
using repository::ManifestFile;

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

std::string name_of_root(const RestoreLayout& layout, const RestoredLink& link)
{
    return link.is_tablespace ? join_path(link.path, layout.tablespace_version_directory())
                              : link.path;
}

} // namespace pgstrata::engine
