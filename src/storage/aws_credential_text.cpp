// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_credentials.hpp"
#include "storage/aws_text.hpp"

#include "pgstrata/util/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <pugixml.hpp>

namespace pgstrata::storage {

namespace {

using nlohmann::json;

constexpr std::size_t kKeyLimit = 1024;
constexpr std::size_t kTokenLimit = 16384;

// What goes into a header must be nothing but visible characters.
bool is_sendable(std::string_view text, std::size_t limit)
{
    return text.size() <= limit &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

AwsCredentials checked(AwsCredentials credentials, std::string_view origin)
{
    const bool is_good = !credentials.access_key.empty() && !credentials.secret_key.empty() &&
                         is_sendable(credentials.access_key, kKeyLimit) &&
                         is_sendable(credentials.secret_key.view(), kKeyLimit) &&
                         is_sendable(credentials.token.view(), kTokenLimit);
    if (!is_good) {
        raise(ErrorCode::protocol, "{} gave no usable credentials", origin);
    }
    return credentials;
}

std::optional<UnixSeconds> expiration(const std::string& text, std::string_view origin)
{
    if (text.empty()) {
        return std::nullopt;
    }
    const auto time = parse_iso_time(text);
    if (!time) {
        raise(ErrorCode::protocol, "{} gave credentials with a malformed expiration", origin);
    }
    return time;
}

std::string text_of(const json& document, const char* name)
{
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : "";
}

codec::SecretText secret_of(const json& document, const char* name)
{
    std::string text = text_of(document, name);
    codec::SecretText secret(text);
    codec::wipe(std::as_writable_bytes(std::span(text)));
    return secret;
}

void wipe_texts(json& document)
{
    for (json& value : document) {
        if (value.is_string()) {
            auto& text = value.get_ref<std::string&>();
            codec::wipe(std::as_writable_bytes(std::span(text)));
        }
    }
}

} // namespace

AwsCredentials parse_credentials_json(std::string_view text, std::string_view origin)
{
    json document = json::parse(text, nullptr, false);
    if (!document.is_object()) {
        raise(ErrorCode::protocol, "{} gave no JSON object with credentials", origin);
    }
    const std::string code = text_of(document, "Code");
    if (!code.empty() && code != "Success") {
        raise(ErrorCode::access, "{} refuses credentials: {}", origin, quotable(code));
    }
    const auto version = document.find("Version");
    if (version != document.end() && *version != 1) {
        raise(ErrorCode::protocol, "{} gave credentials of an unknown version", origin);
    }
    AwsCredentials credentials{.access_key = text_of(document, "AccessKeyId"),
                               .secret_key = secret_of(document, "SecretAccessKey"),
                               .token = secret_of(document, "SessionToken"),
                               .expires = expiration(text_of(document, "Expiration"), origin)};
    if (credentials.token.empty()) {
        credentials.token = secret_of(document, "Token");
    }
    wipe_texts(document);
    return checked(std::move(credentials), origin);
}

AwsCredentials parse_credentials_xml(MutableBytes text)
{
    constexpr std::string_view kOrigin = "the token service";
    pugi::xml_document document;
    // In place, so that what is wiped is all there is.
    const auto result = document.load_buffer_inplace(text.data(), text.size());
    const pugi::xml_node node = document.child("AssumeRoleWithWebIdentityResponse")
                                    .child("AssumeRoleWithWebIdentityResult")
                                    .child("Credentials");
    if (!result || !node) {
        codec::wipe(text);
        raise(ErrorCode::protocol, "{} gave an answer that is not understood", kOrigin);
    }
    AwsCredentials credentials{.access_key = node.child_value("AccessKeyId"),
                               .secret_key = codec::SecretText(node.child_value("SecretAccessKey")),
                               .token = codec::SecretText(node.child_value("SessionToken"))};
    const std::string expires = node.child_value("Expiration");
    codec::wipe(text);
    credentials.expires = expiration(expires, kOrigin);
    return checked(std::move(credentials), kOrigin);
}

bool is_allowed_container_address(std::string_view url)
{
    constexpr std::string_view kPlain = "http://";
    if (url.starts_with("https://")) {
        return true;
    }
    if (!url.starts_with(kPlain)) {
        return false;
    }
    url.remove_prefix(kPlain.size());
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    if (authority.find_first_of("@\\") != std::string_view::npos) {
        return false;
    }
    const std::string_view host = authority.starts_with('[')
                                      ? authority.substr(0, authority.find(']') + 1)
                                      : authority.substr(0, authority.find(':'));
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]" ||
           host == "169.254.170.2" || host == "169.254.170.23" || host == "[fd00:ec2::23]";
}

} // namespace pgstrata::storage
