// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/aws_credentials.hpp"

#include "pgstrata/storage/s3.hpp"

namespace pgstrata::storage {

std::unique_ptr<Storage> make_s3_storage(S3Options options, AwsSurroundings surroundings);

} // namespace pgstrata::storage
