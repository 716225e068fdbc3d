// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/postgres/session.hpp"
#include "pgstrata/repository/manifest.hpp"

namespace pgstrata::engine {

// Adds the names of databases and tablespaces that the manifest does not have yet. One made while a
// backup runs may be known at its start or its end only.
void remember_names(postgres::Session& session, repository::Manifest& manifest);
// Brings them into the order a manifest has.
void sort_names(repository::Manifest& manifest);

} // namespace pgstrata::engine
