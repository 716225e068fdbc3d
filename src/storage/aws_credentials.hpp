// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/http.hpp"
#include "storage/retry.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/storage/s3.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace pgstrata::storage {

// The outside world, so that tests can set it.
struct AwsSurroundings {
    std::function<std::optional<std::string>(const std::string&)> variable; // the environment's
    std::function<UnixSeconds()> now;
    std::uint64_t metadata_timeout_milliseconds = 2000;
    std::function<bool()> has_md5 = codec::has_md5; // hosts in FIPS mode forbid it
};
AwsSurroundings real_surroundings();

// Reads the JSON of a credential program, a metadata service or a pod identity agent. Throws
// Error(protocol) naming `origin` when a key is missing, no key, or not fit to be sent.
AwsCredentials parse_credentials_json(std::string_view text, std::string_view origin);
// The answer of AssumeRoleWithWebIdentity; wipes `text`.
AwsCredentials parse_credentials_xml(MutableBytes text);

// Whether the address of a container's credentials may be asked: https, or http on this host or to
// the addresses that containers are given.
bool is_allowed_container_address(std::string_view url);

// What is known of how long credentials last, and that they could not be renewed before they ended.
struct CredentialLife {
    UnixSeconds obtained = 0;
    std::optional<UnixSeconds> expires = {};
    std::optional<UnixSeconds> renewal_failed = {};
};
// A while before they expire, but for some time after that failed: they are good until then, and
// who asks for them waits for every try.
bool is_renewal_due(const CredentialLife& life, UnixSeconds now);

// Hands out credentials that are good for some minutes yet, getting new ones when they are not. May
// be called from any thread; one of them renews, and the others wait for it.
class CredentialSource : NonCopyable {
public:
    CredentialSource(S3KeyOptions keys,
                     const HttpOptions& http,
                     const RetryOptions& retry,
                     AwsSurroundings surroundings);

    // Throws Error(access) when there are none, and what the way to them throws.
    std::shared_ptr<const AwsCredentials> current();
    // The store says that these have expired. False when there will be no others.
    bool renew(const std::shared_ptr<const AwsCredentials>& expired);

private:
    AwsCredentials fetch();
    AwsCredentials fetch_automatic();
    std::optional<AwsCredentials> from_environment() const;
    std::optional<AwsCredentials> from_web_identity();
    std::optional<AwsCredentials> from_container();
    AwsCredentials from_instance();
    AwsCredentials from_process() const;
    std::string ask_instance(HttpRequest request, std::string_view what);
    HttpAnswer send(HttpClient& client, const HttpRequest& request, std::string_view what);
    std::string setting(const std::string& variable) const; // empty when it is not set

    S3KeyOptions keys_;
    std::uint64_t process_milliseconds_;
    AwsSurroundings surroundings_;
    HttpClient client_;
    HttpClient metadata_client_;
    Pace pace_;
    Pace metadata_pace_;
    std::mutex mutex_; // guards current_ and its life, and held while they are renewed
    std::shared_ptr<const AwsCredentials> current_;
    CredentialLife life_;
};

} // namespace pgstrata::storage
