// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/file_descriptor.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgstrata {

struct Owner {
    std::uint32_t user = 0;
    std::uint32_t group = 0;
};

// Whether a process of the effective user `user` can rely on what is in a directory of this owner:
// its own, root's, or one that it shares with others of one of its groups. Root gets along with
// all.
bool is_reliable(const Owner& owner, std::uint32_t user);

// Whom root, which works for others and is needed only now and then, leaves what it makes for those
// who are at home in `directory`: its owner, or that of the nearest directory above while it is not
// there. nullopt when that is root itself, or the effective user of this process, `user`, is not
// root.
std::optional<Owner> heir_of(const std::string& directory, std::uint32_t user);

// Opens a file and makes it where it is missing, for the heir of its directory. Links are not
// followed: whoever may write to the directory could lead root anywhere.
FileDescriptor open_for_heir(const std::string& path, int flags);

// Gives directories that root has made, outermost first, to the heir of `home`. False when there is
// none.
bool leave_to_heir(const std::vector<std::string>& directories, const std::string& home);

} // namespace pgstrata
