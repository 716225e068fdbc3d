// SPDX-License-Identifier: PostgreSQL
#include "command/repository_path.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

namespace pgstrata::command {

std::string repository_path(const std::string& given, const std::string& root)
{
    const std::string base = normal_path(root);
    const std::string path = normal_path(given.starts_with('/') ? given : base + "/" + given);
    if (!is_within(path, base)) {
        throw Error(ErrorCode::parameter_invalid,
                    fmt::format("'{}' is not in the repository '{}'", given, base),
                    "give a path relative to repo-path, or one below it");
    }
    const std::size_t skipped = base == "/" ? 1 : std::min(base.size() + 1, path.size());
    return path.substr(skipped);
}

} // namespace pgstrata::command
