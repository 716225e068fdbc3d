// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/s3_client.hpp"

#include "pgstrata/storage/storage.hpp"

namespace pgstrata::storage {

inline constexpr unsigned kMostParts = 10000;

// The size of part `number`, counted from 1, of an upload whose first parts have `first` bytes:
// twice as much from 500 parts to 500 parts, up to 1 GiB.
std::size_t part_size(unsigned number, std::size_t first);

std::unique_ptr<PendingFile>
make_s3_upload(std::shared_ptr<S3Client> client, std::string key, WriteMode mode);

} // namespace pgstrata::storage
