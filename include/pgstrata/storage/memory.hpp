// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

namespace pgstrata::storage {

// Files in memory, for tests.
std::unique_ptr<Storage> make_memory_storage();

} // namespace pgstrata::storage
