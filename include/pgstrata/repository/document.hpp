// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace pgstrata::repository {

// No document is larger, in bytes.
inline constexpr std::size_t kDocumentLimit = 16U << 20U;

// A JSON object with the member "checksum": XXH3-128 in hex over its compact form (keys sorted)
// without that member. Indented by two, with a newline at the end, for people to read.
std::string seal_document(nlohmann::json document);
// Throws Error(checksum) when the text is no JSON object or the checksum is not there or wrong;
// `path` is named.
nlohmann::json open_document(std::string_view text, const std::string& path);

// Members of a document with a type check: Error(format) names path and member.
std::string
document_text(const nlohmann::json& document, const char* member, const std::string& path);
// An object whose members are all texts; empty when it is not there.
std::map<std::string, std::string>
document_texts(const nlohmann::json& document, const char* member, const std::string& path);
std::uint64_t
document_number(const nlohmann::json& document, const char* member, const std::string& path);

// Throws Error(version_not_supported) when its member "format" is newer than this program's.
void check_document_format(const nlohmann::json& document, const std::string& path);

} // namespace pgstrata::repository
