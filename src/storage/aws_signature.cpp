// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_signature.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/util/hex.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgstrata::storage {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::size_t kHashBlock = 64;

bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

// Without blanks around it, and with one blank for several.
std::string canonical_value(std::string_view value)
{
    std::string result;
    for (const char c : value) {
        const bool is_blank = c == ' ' || c == '\t';
        if (!is_blank) {
            result += c;
        } else if (!result.empty() && result.back() != ' ') {
            result += ' ';
        }
    }
    if (result.ends_with(' ')) {
        result.pop_back();
    }
    return result;
}

codec::Key
derive_key(const AwsCredentials& credentials, std::string_view date, const SigningScope& scope)
{
    const codec::SecretText prefixed(fmt::format("AWS4{}", credentials.secret_key.view()));
    codec::Sha256Digest step{};
    if (prefixed.view().size() > kHashBlock) {
        // RFC 2104: a longer key takes part as its digest.
        step = codec::hmac_sha256(codec::sha256(as_bytes(prefixed.view())), as_bytes(date));
    } else {
        step = codec::hmac_sha256(as_bytes(prefixed.view()), as_bytes(date));
    }
    for (const std::string_view part :
         {std::string_view(scope.region), std::string_view(scope.service), kTerminator}) {
        step = codec::hmac_sha256(step, as_bytes(part));
    }
    codec::Key key;
    std::ranges::copy(step, key.span().begin());
    codec::wipe(step);
    return key;
}

} // namespace

std::string uri_encode(std::string_view text, UriPart part)
{
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && part == UriPart::path)) {
            result += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result += '%';
            result += kHexDigits[byte >> 4U];
            result += kHexDigits[byte & 0xFU];
        }
    }
    return result;
}

std::string canonical_query(const QueryParameters& parameters)
{
    QueryParameters encoded;
    encoded.reserve(parameters.size());
    for (const auto& [name, value] : parameters) {
        encoded.emplace_back(uri_encode(name, UriPart::value), uri_encode(value, UriPart::value));
    }
    std::sort(encoded.begin(), encoded.end());
    std::string result;
    for (const auto& [name, value] : encoded) {
        result += fmt::format("{}{}={}", result.empty() ? "" : "&", name, value);
    }
    return result;
}

std::string amz_date(UnixSeconds time)
{
    std::string text = format_label_time(time);
    text[text.find('-')] = 'T';
    return text + "Z";
}

std::string authorization(const SignedRequest& request,
                          const AwsCredentials& credentials,
                          const SigningScope& scope,
                          UnixSeconds time)
{
    std::vector<const HttpHeader*> headers;
    for (const HttpHeader& header : request.headers) {
        headers.push_back(&header);
    }
    std::sort(headers.begin(), headers.end(), [](const HttpHeader* left, const HttpHeader* right) {
        return left->name < right->name;
    });
    std::string names;
    // Holds the session token.
    std::string canonical =
        fmt::format("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (const HttpHeader* header : headers) {
        names += (names.empty() ? "" : ";") + header->name;
        canonical += fmt::format("{}:{}\n", header->name, canonical_value(header->value));
    }
    canonical += fmt::format("\n{}\n{}", names, request.payload_hash);
    const std::string hash = to_hex(codec::sha256(as_bytes(canonical)));
    codec::wipe(std::as_writable_bytes(std::span(canonical)));

    const std::string moment = amz_date(time);
    const std::string date = moment.substr(0, 8);
    const std::string place =
        fmt::format("{}/{}/{}/{}", date, scope.region, scope.service, kTerminator);
    const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, moment, place, hash);
    const codec::Key key = derive_key(credentials, date, scope);
    return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}",
                       kAlgorithm,
                       credentials.access_key,
                       place,
                       names,
                       to_hex(codec::hmac_sha256(key.view(), as_bytes(to_sign))));
}

} // namespace pgstrata::storage
