// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/manifest.hpp"

#include <algorithm>
#include <string>

namespace pgstrata::repository {

std::string tablespace_name(const Manifest& manifest, std::uint32_t oid)
{
    const auto known = std::ranges::find(manifest.tablespaces, oid, &ManifestTablespace::oid);
    return known != manifest.tablespaces.end() && !known->name.empty() ? known->name
                                                                       : "ts" + std::to_string(oid);
}

} // namespace pgstrata::repository
