// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/engine/restore_layout.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace pgstrata::engine {

// What a restore wants to find in its roots. Layout and manifest must outlive it.
class RootContents : NonCopyable {
public:
    RootContents(const RestoreLayout& layout, const repository::Manifest& manifest);

    // Whether an entry may stay under this name (of the manifest): it is of the right kind, and a
    // link leads where it should.
    bool belongs(const std::filesystem::directory_entry& entry, const std::string& name) const;
    // nullptr when the manifest has no file of that name, or it is left out.
    const repository::ManifestFile* find_file(const std::string& name) const;

private:
    const RestoreLayout& layout_;
    const repository::Manifest& manifest_;
    std::unordered_set<std::string_view> directories_;
    std::unordered_map<std::string_view, const RestoredLink*> links_;
};

// Not through a link.
bool is_real_directory(const std::filesystem::directory_entry& entry);
// The directory that fsck keeps at the top of a filesystem, which is root's and in nobody's way.
bool is_lost_and_found(const std::filesystem::directory_entry& entry);
// The same by what stat(2) says of the entry, the directory that it is in, and the one above that.
bool is_lost_and_found(std::string_view name,
                       const struct stat& entry,
                       const struct stat& directory,
                       const struct stat& above);
// The name in the manifest of what lies in a root that a directory link leads to.
std::string name_of_root(const RestoreLayout& layout, const RestoredLink& link);

} // namespace pgstrata::engine
