// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/s3_client.hpp"

#include "pgstrata/util/stream.hpp"

#include <mutex>

namespace pgstrata::storage {

// Throws Error(file_missing). What is small is read at once.
std::unique_ptr<RandomSource> open_s3_source(std::shared_ptr<S3Client> client,
                                             const std::string& key);

} // namespace pgstrata::storage
