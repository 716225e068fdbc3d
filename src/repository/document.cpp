// SPDX-License-Identifier: PostgreSQL
#include "pgstrata/repository/document.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/repository/layout.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/hex.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace pgstrata::repository {

namespace {

constexpr auto kChecksumMember = "checksum";
// The deepest document of ours has three levels; writing one out again takes stack for each.
constexpr int kDepthLimit = 16;

// Texts that are not UTF-8 (names from a server may be anything) keep their place with a
// replacement character.
std::string dump(const nlohmann::json& document, int indent)
{
    return document.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string checksum_of(const nlohmann::json& document)
{
    return to_hex(codec::xxh3_128(as_bytes(dump(document, -1))));
}

} // namespace

std::string seal_document(nlohmann::json document)
{
    document[kChecksumMember] = checksum_of(document);
    return dump(document, 2) + "\n";
}

nlohmann::json open_document(std::string_view text, const std::string& path)
{
    bool is_too_deep = false;
    const auto limit_depth = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
        is_too_deep = is_too_deep || depth > kDepthLimit;
        return !is_too_deep;
    };
    nlohmann::json document = nlohmann::json::parse(text, limit_depth, false);
    if (is_too_deep || !document.is_object() || !text.ends_with("}\n")) {
        raise(ErrorCode::checksum, "'{}' in the repository is damaged: it is no JSON object", path);
    }
    const auto found = document.find(kChecksumMember);
    if (found == document.end() || !found->is_string()) {
        raise(ErrorCode::checksum, "'{}' in the repository is damaged: it has no checksum", path);
    }
    const std::string stated = *found;
    document.erase(found);
    if (stated != checksum_of(document)) {
        raise(
            ErrorCode::checksum, "'{}' in the repository is damaged: its checksum is wrong", path);
    }
    return document;
}

std::string
document_text(const nlohmann::json& document, const char* member, const std::string& path)
{
    const auto found = document.find(member);
    if (found == document.end() || !found->is_string()) {
        raise(ErrorCode::format, "'{}' in the repository has no text '{}'", path, member);
    }
    return *found;
}

std::map<std::string, std::string>
document_texts(const nlohmann::json& document, const char* member, const std::string& path)
{
    std::map<std::string, std::string> texts;
    const auto found = document.find(member);
    if (found == document.end()) {
        return texts;
    }
    const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
    if (!found->is_object() || !std::all_of(found->begin(), found->end(), is_text)) {
        raise(ErrorCode::format, "'{}' in the repository has an invalid '{}'", path, member);
    }
    for (const auto& [key, value] : found->items()) {
        texts.emplace(key, value.get<std::string>());
    }
    return texts;
}

std::uint64_t
document_number(const nlohmann::json& document, const char* member, const std::string& path)
{
    const auto found = document.find(member);
    if (found == document.end() || !found->is_number_unsigned()) {
        raise(ErrorCode::format, "'{}' in the repository has no number '{}'", path, member);
    }
    return *found;
}

void check_document_format(const nlohmann::json& document, const std::string& path)
{
    if (document_number(document, "format", path) > kRepositoryFormat) {
        raise(ErrorCode::version_not_supported, "'{}' in the repository has a newer format", path);
    }
}

} // namespace pgstrata::repository
