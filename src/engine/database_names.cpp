// SPDX-License-Identifier: PostgreSQL
#include "engine/database_names.hpp"

#include <algorithm>
#include <set>

namespace pgstrata::engine {

using repository::ManifestDatabase;
using repository::ManifestTablespace;

void remember_names(postgres::Session& session, repository::Manifest& manifest)
{
    std::set<std::uint32_t> known;
    for (const ManifestDatabase& database : manifest.databases) {
        known.insert(database.oid);
    }
    for (const postgres::DatabaseInfo& database : session.databases()) {
        if (!known.contains(database.oid)) {
            manifest.databases.push_back({database.oid, database.name, database.is_template});
        }
    }
    known.clear();
    for (const ManifestTablespace& tablespace : manifest.tablespaces) {
        known.insert(tablespace.oid);
    }
    for (const postgres::TablespaceInfo& tablespace : session.tablespaces()) {
        if (!known.contains(tablespace.oid)) {
            manifest.tablespaces.push_back({tablespace.oid, tablespace.name});
        }
    }
}

void sort_names(repository::Manifest& manifest)
{
    std::ranges::sort(manifest.databases, {}, &ManifestDatabase::oid);
    std::ranges::sort(manifest.tablespaces, {}, &ManifestTablespace::oid);
}

} // namespace pgstrata::engine
