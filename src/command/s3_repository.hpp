// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/config/config.hpp"
#include "pgstrata/storage/s3.hpp"

namespace pgstrata::command {

// What the options of repoN say about its bucket.
storage::S3Options s3_options(const config::Config& config, unsigned index);

} // namespace pgstrata::command
