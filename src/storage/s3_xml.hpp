// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/storage/storage.hpp"

#include <span>
#include <string>
#include <utility>
#include <vector>

// The XML of S3. What is read is outside input: whatever is missing, malformed or cut throws
// Error(protocol).
namespace pgstrata::storage {

// What a store says when it refuses; both empty when the answer is no such document.
struct StoreError {
    std::string code;    // "NoSuchKey"
    std::string message; // one line
    std::string region;  // where the store says that the bucket is
};
StoreError parse_error(ByteView body);

struct ListPage {
    std::vector<EntryInfo> entries; // in the order of the answer; names are what follows the prefix
    std::string next_token;         // empty on the last page
};
// ListObjectsV2 with a delimiter. Keys that do not begin with `prefix`, or that no path can name
// ("a//b", "dir/"), are left out.
ListPage parse_list_page(ByteView body, std::string_view prefix);

std::string parse_upload_id(ByteView body); // of CreateMultipartUpload
// Throws for anything but a CompleteMultipartUploadResult.
void check_completion(ByteView body);
// `etags` in the order of the parts.
std::string completion_body(std::span<const std::string> etags);

// Whether a key can be named in XML; others are removed one by one.
bool is_fit_for_xml(std::string_view key);
std::string deletion_body(std::span<const std::string> keys);
// The keys that DeleteObjects could not remove, as the store names them, with the reason.
std::vector<std::pair<std::string, StoreError>> parse_deletion(ByteView body);

} // namespace pgstrata::storage
