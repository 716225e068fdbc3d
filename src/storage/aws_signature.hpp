// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/key.hpp"
#include "pgstrata/util/time.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Signature Version 4 of AWS, as its reference "Authenticating Requests: Using the Authorization
// Header" has it.
namespace pgstrata::storage {

struct AwsCredentials {
    std::string access_key; // as secret as the others for logs and errors
    codec::SecretText secret_key;
    codec::SecretText token;            // empty without a session
    std::optional<UnixSeconds> expires; // never without
};

struct HttpHeader {
    std::string name; // lower case
    std::string value;
};

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ and, in a path, the slash.
enum class UriPart : std::uint8_t { path, value };
std::string uri_encode(std::string_view text, UriPart part);
// "a=1&b=": encoded, in the order of the encoded names; both what is sent and what is signed.
std::string canonical_query(const QueryParameters& parameters);

struct SignedRequest {
    std::string_view method;
    std::string_view path;               // encoded
    std::string_view query;              // of canonical_query()
    std::span<const HttpHeader> headers; // all of them are signed
    std::string_view payload_hash;       // hex, as in x-amz-content-sha256
};

struct SigningScope {
    std::string region;
    std::string service; // "s3"
};

// "20130524T000000Z", the value of x-amz-date.
std::string amz_date(UnixSeconds time);
// The value of the authorization header. The headers must hold host and x-amz-date of `time`.
std::string authorization(const SignedRequest& request,
                          const AwsCredentials& credentials,
                          const SigningScope& scope,
                          UnixSeconds time);

} // namespace pgstrata::storage
