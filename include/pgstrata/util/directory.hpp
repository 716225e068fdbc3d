// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/handle.hpp"

#include <dirent.h>

namespace pgstrata {

inline void close_directory(DIR* directory) noexcept
{
    ::closedir(directory);
}

// Owns a directory that is being read, with opendir(3) or fdopendir(3); null where that failed.
using Directory = Handle<DIR, &close_directory>;

} // namespace pgstrata
