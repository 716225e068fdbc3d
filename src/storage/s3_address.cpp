// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_address.hpp"

#include "storage/aws_signature.hpp"
#include "storage/aws_text.hpp"

#include "pgstrata/util/error.hpp"
#include "pgstrata/util/path.hpp"

#include <algorithm>

namespace pgstrata::storage {

namespace {

constexpr unsigned kHttpPort = 80;
constexpr unsigned kHttpsPort = 443;
constexpr unsigned kHighestPort = 65535;

struct Authority {
    std::string scheme; // empty when none is named
    std::string host;
    unsigned port = 0; // 0 when none is named
};

[[noreturn]] void refuse(const char* option, std::string_view text)
{
    throw Error(ErrorCode::option_invalid_value,
                fmt::format("'{}' is no address for option '{}'", quotable(text), option),
                "it is a host with an optional port, such as 's3.eu-central-1.amazonaws.com' or, "
                "without TLS, 'http://127.0.0.1:9000'");
}

Authority parse_authority(const char* option, std::string_view text)
{
    Authority result;
    std::string_view rest = text;
    if (const std::size_t end = rest.find("://"); end != std::string_view::npos) {
        result.scheme = rest.substr(0, end);
        rest.remove_prefix(end + 3);
    }
    if (rest.ends_with('/')) {
        rest.remove_suffix(1);
    }
    const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
    if (bracket == std::string_view::npos) {
        refuse(option, text);
    }
    const std::size_t colon = rest.find(':', bracket);
    result.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) {
        const auto port = parse_number(rest.substr(colon + 1));
        if (!port || *port == 0 || *port > kHighestPort) {
            refuse(option, text);
        }
        result.port = static_cast<unsigned>(*port);
    }
    const bool is_scheme =
        result.scheme.empty() || result.scheme == "https" || result.scheme == "http";
    const bool is_host = !result.host.empty() && std::ranges::all_of(result.host, [](char c) {
        return c > ' ' && c < 0x7f;
    }) && result.host.find_first_of("/?#@\\") == std::string::npos;
    if (!is_scheme || !is_host) {
        refuse(option, text);
    }
    return result;
}

std::string with_port(const std::string& host, unsigned port, unsigned usual)
{
    return port == 0 || port == usual ? host : fmt::format("{}:{}", host, port);
}

unsigned first_set(unsigned first, unsigned second)
{
    return first != 0 ? first : second;
}

} // namespace

S3Address resolve_address(const S3Options& options)
{
    const Authority endpoint = parse_authority("repo-s3-endpoint", options.endpoint);
    const std::string scheme = endpoint.scheme.empty() ? "https" : endpoint.scheme;
    const unsigned usual = scheme == "https" ? kHttpsPort : kHttpPort;
    const bool is_in_host = options.uri_style == S3UriStyle::host;
    const std::string named =
        is_in_host ? fmt::format("{}.{}", options.bucket, endpoint.host) : endpoint.host;
    S3Address address;
    if (!is_in_host) {
        address.path_prefix = "/" + uri_encode(options.bucket, UriPart::value);
    }
    if (options.host.empty()) {
        address.host = with_port(named, first_set(options.port, endpoint.port), usual);
        address.url = scheme + "://" + address.host;
        return address;
    }
    const Authority host = parse_authority("repo-storage-host", options.host);
    if (!host.scheme.empty() && host.scheme != scheme) {
        refuse("repo-storage-host", options.host);
    }
    const unsigned port = first_set(options.port, first_set(host.port, endpoint.port));
    address.host = with_port(named, endpoint.port, usual);
    address.url = scheme + "://" + with_port(host.host, port, usual);
    return address;
}

std::string object_key(std::string_view root, std::string_view path)
{
    while (root.starts_with('/')) {
        root.remove_prefix(1);
    }
    while (root.ends_with('/')) {
        root.remove_suffix(1);
    }
    return join_path(root, path);
}

std::string directory_prefix(std::string_view root, std::string_view directory)
{
    const std::string key = object_key(root, directory);
    return key.empty() ? key : key + "/";
}

} // namespace pgstrata::storage
