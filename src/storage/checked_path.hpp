// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <string_view>

namespace pgstrata::storage {

// Throws Error(parameter_invalid) for a path that could leave the root.
inline void check_path(std::string_view path)
{
    if (!is_safe_relative_path(path)) {
        raise(
            ErrorCode::parameter_invalid, "'{}' is not a path below the root of the storage", path);
    }
}

// The same where "" stands for the root.
inline void check_path_or_root(std::string_view path)
{
    if (!path.empty()) {
        check_path(path);
    }
}

} // namespace pgstrata::storage
