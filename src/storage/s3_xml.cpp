// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_xml.hpp"

#include "storage/aws_text.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>
#include <pugixml.hpp>

namespace pgstrata::storage {

namespace {

[[noreturn]] void refuse(std::string_view what)
{
    raise(ErrorCode::protocol, "the store gave an answer that is not understood: {}", what);
}

// Names are bytes to us, so nothing is normalised.
constexpr unsigned kParseOptions = pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol;

pugi::xml_node parse(pugi::xml_document& document, ByteView body, const char* root)
{
    const auto result = document.load_buffer(body.data(), body.size(), kParseOptions);
    if (!result) {
        refuse(fmt::format("XML damaged at byte {}", result.offset));
    }
    const pugi::xml_node node = document.document_element();
    if (std::string_view(node.name()) != root) {
        refuse(fmt::format("'{}' instead of '{}'", quotable(node.name()), root));
    }
    return node;
}

std::string escaped(std::string_view text)
{
    std::string result;
    for (const char c : text) {
        switch (c) {
        case '&':
            result += "&amp;";
            break;
        case '<':
            result += "&lt;";
            break;
        case '>':
            result += "&gt;";
            break;
        case '"':
            result += "&quot;";
            break;
        default:
            result += c;
        }
    }
    return result;
}

// The names of one page, decoded when the store says that they are encoded.
class Names {
public:
    Names(const pugi::xml_node& list, std::string_view prefix)
        : is_encoded_(std::string_view(list.child_value("EncodingType")) == "url"), prefix_(prefix)
    {
    }
    // nullopt for what is not directly below the prefix.
    std::optional<std::string> below_prefix(const char* value) const
    {
        std::string key = value;
        if (is_encoded_) {
            auto decoded = url_decode(key);
            if (!decoded) {
                refuse("a key is not encoded as it says");
            }
            key = std::move(*decoded);
        }
        if (!key.starts_with(prefix_)) {
            return std::nullopt;
        }
        return key.substr(prefix_.size());
    }

private:
    bool is_encoded_;
    std::string_view prefix_;
};

bool is_entry_name(std::string_view name)
{
    return name.find('/') == std::string_view::npos && is_safe_relative_path(name);
}

EntryInfo parse_object(const pugi::xml_node& node, std::string name)
{
    const auto size = parse_number(node.child_value("Size"));
    const auto time = parse_iso_time(node.child_value("LastModified"));
    if (!size || !time) {
        refuse("an entry without size or time");
    }
    return {.name = std::move(name), .type = EntryType::file, .size = *size, .mtime = *time};
}

} // namespace

StoreError parse_error(ByteView body)
{
    pugi::xml_document document;
    if (!document.load_buffer(body.data(), body.size(), kParseOptions)) {
        return {};
    }
    pugi::xml_node node = document.document_element();
    if (std::string_view(node.name()) == "ErrorResponse") {
        node = node.child("Error");
    }
    if (std::string_view(node.name()) != "Error") {
        return {};
    }
    return {quotable(node.child_value("Code")),
            quotable(node.child_value("Message")),
            quotable(node.child_value("Region"))};
}

ListPage parse_list_page(ByteView body, std::string_view prefix)
{
    pugi::xml_document document;
    const pugi::xml_node list = parse(document, body, "ListBucketResult");
    const Names names(list, prefix);
    ListPage page;
    for (const pugi::xml_node& node : list.children("Contents")) {
        auto name = names.below_prefix(node.child_value("Key"));
        if (name && is_entry_name(*name)) {
            page.entries.push_back(parse_object(node, std::move(*name)));
        }
    }
    for (const pugi::xml_node& node : list.children("CommonPrefixes")) {
        auto name = names.below_prefix(node.child_value("Prefix"));
        if (name && name->ends_with('/')) {
            name->pop_back();
            if (is_entry_name(*name)) {
                page.entries.push_back({.name = std::move(*name), .type = EntryType::directory});
            }
        }
    }
    const std::string_view truncated = list.child_value("IsTruncated");
    if (truncated == "true") {
        page.next_token = list.child_value("NextContinuationToken");
    }
    // Taken for the last page, one that is not would look like a repository that lost its rest.
    if (truncated != "false" && page.next_token.empty()) {
        refuse("a listing that does not say whether it is complete");
    }
    return page;
}

std::string parse_upload_id(ByteView body)
{
    pugi::xml_document document;
    const pugi::xml_node node = parse(document, body, "InitiateMultipartUploadResult");
    std::string id = node.child_value("UploadId");
    if (id.empty()) {
        refuse("an upload without id");
    }
    return id;
}

void check_completion(ByteView body)
{
    pugi::xml_document document;
    parse(document, body, "CompleteMultipartUploadResult");
}

std::string completion_body(std::span<const std::string> etags)
{
    std::string text = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < etags.size(); ++i) {
        text += fmt::format(
            "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, escaped(etags[i]));
    }
    return text + "</CompleteMultipartUpload>";
}

bool is_fit_for_xml(std::string_view key)
{
    return std::ranges::none_of(key, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
}

std::string deletion_body(std::span<const std::string> keys)
{
    std::string text = "<Delete><Quiet>true</Quiet>";
    for (const std::string& key : keys) {
        text += fmt::format("<Object><Key>{}</Key></Object>", escaped(key));
    }
    return text + "</Delete>";
}

std::vector<std::pair<std::string, StoreError>> parse_deletion(ByteView body)
{
    pugi::xml_document document;
    const pugi::xml_node result = parse(document, body, "DeleteResult");
    std::vector<std::pair<std::string, StoreError>> failed;
    for (const pugi::xml_node& node : result.children("Error")) {
        failed.emplace_back(node.child_value("Key"),
                            StoreError{quotable(node.child_value("Code")),
                                       quotable(node.child_value("Message")),
                                       {}});
    }
    return failed;
}

} // namespace pgstrata::storage
