// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/s3.hpp"

#include <string>

namespace pgstrata::storage {

// Where requests for a bucket go.
struct S3Address {
    std::string url;         // "https://bucket.s3.amazonaws.com", what is connected to
    std::string host;        // the header of that name, which is signed
    std::string path_prefix; // "/bucket" where the host does not name it
};

// Throws Error(option_invalid_value) for an endpoint or host that is none, and for a host whose
// scheme is not the endpoint's: only that decides whether there is TLS.
S3Address resolve_address(const S3Options& options);

// The key of a path below the root, and what all keys of a directory begin with.
std::string object_key(std::string_view root, std::string_view path);
std::string directory_prefix(std::string_view root, std::string_view directory);

} // namespace pgstrata::storage
