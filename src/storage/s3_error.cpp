// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_error.hpp"

#include "storage/aws_text.hpp"
#include "storage/http_status.hpp"
#include "storage/s3_address.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace pgstrata::storage {

namespace {

template <std::size_t Size>
bool is_one_of(std::string_view code, const std::array<std::string_view, Size>& codes)
{
    return std::ranges::find(codes, code) != codes.end();
}

constexpr std::array<std::string_view, 8> kThrottling = {"SlowDown",
                                                         "ServiceUnavailable",
                                                         "Throttling",
                                                         "ThrottlingException",
                                                         "TooManyRequests",
                                                         "RequestLimitExceeded",
                                                         "BandwidthLimitExceeded",
                                                         "RequestThrottled"};
constexpr std::array<std::string_view, 8> kPassing = {"InternalError",
                                                      "InternalFailure",
                                                      "IDPCommunicationError",
                                                      "RequestTimeout",
                                                      "RequestTimeoutException",
                                                      "IncompleteBody",
                                                      "OperationAborted",
                                                      "ConditionalRequestConflict"};
constexpr std::array<std::string_view, 4> kExpired = {
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"};
constexpr std::array<std::string_view, 9> kNoAccess = {"AccessDenied",
                                                       "ExpiredToken",
                                                       "ExpiredTokenException",
                                                       "InvalidAccessKeyId",
                                                       "InvalidToken",
                                                       "RequestTimeTooSkewed",
                                                       "SignatureDoesNotMatch",
                                                       "TokenRefreshRequired",
                                                       "RequestExpired"};
constexpr std::array<std::string_view, 4> kElsewhere = {"PermanentRedirect",
                                                        "TemporaryRedirect",
                                                        "AuthorizationHeaderMalformed",
                                                        "IllegalLocationConstraintException"};

ErrorCode code_for(const HttpAnswer& answer, const StoreError& told)
{
    if (answer.status == 0) {
        return ErrorCode::host_connect;
    }
    if (told.code == "NoSuchBucket") {
        return ErrorCode::path_missing;
    }
    if (answer.status == kStatusNotFound && told.code == "NoSuchKey") {
        return ErrorCode::file_missing;
    }
    const bool is_denied = answer.status == kStatusUnauthorized ||
                           answer.status == kStatusForbidden || is_one_of(told.code, kNoAccess);
    return is_denied ? ErrorCode::access : ErrorCode::service;
}

std::string clock_hint(const HttpAnswer& answer, UnixSeconds now)
{
    const auto theirs = parse_http_time(answer.header("date"));
    if (!theirs) {
        return "the clock of this host or of the store is wrong";
    }
    return fmt::format("the clock of this host is {} seconds {} the store's",
                       std::abs(now - *theirs),
                       now < *theirs ? "behind" : "ahead of");
}

std::string region_hint(const HttpAnswer& answer, const StoreError& told, const S3Options& options)
{
    const std::string header = quotable(answer.header("x-amz-bucket-region"));
    const std::string& region = header.empty() ? told.region : header;
    if (region.empty() || region == options.region) {
        return fmt::format("check 'repo-s3-endpoint' and 'repo-s3-region' (now '{}')",
                           options.region);
    }
    return fmt::format("the bucket is in region '{}', not '{}': set 'repo-s3-region' and an "
                       "endpoint of that region",
                       region,
                       options.region);
}

std::string hint_for(std::string_view right,
                     const HttpAnswer& answer,
                     const StoreError& told,
                     const S3Options& options,
                     UnixSeconds now)
{
    const bool is_redirect = answer.status >= kStatusRedirects && answer.status < kStatusBadRequest;
    if (told.code == "RequestTimeTooSkewed") {
        return clock_hint(answer, now);
    }
    if (is_redirect || is_one_of(told.code, kElsewhere)) {
        return region_hint(answer, told, options);
    }
    if (told.code == "SignatureDoesNotMatch") {
        return "check 'repo-s3-key-secret' and 'repo-s3-region'";
    }
    if (told.code == "InvalidAccessKeyId") {
        return "check 'repo-s3-key'";
    }
    if (told.code == "NoSuchBucket") {
        return fmt::format("make the bucket '{}', or check 'repo-s3-bucket', 'repo-s3-endpoint' "
                           "and 'repo-s3-uri-style'",
                           options.bucket);
    }
    if (told.code == "InvalidObjectState") {
        return "the object is in an archive class and has to be restored there first";
    }
    if (answer.status == kStatusForbidden) {
        return missing_right(right, options);
    }
    if (answer.failure.find("certificate") != std::string::npos) {
        return "name the authority that signed it with 'repo-storage-ca-file'";
    }
    if (told.code.empty() && answer.status < kStatusServerError) {
        return "check 'repo-s3-endpoint', and 'repo-s3-uri-style': many stores want 'path'";
    }
    return {};
}

} // namespace

Remedy remedy_for(const HttpAnswer& answer, const StoreError& told)
{
    if (answer.status == 0) {
        return answer.may_pass ? Remedy::try_again : Remedy::none;
    }
    if (is_one_of(told.code, kExpired)) {
        return Remedy::renew;
    }
    const unsigned status = answer.status;
    if (status == kStatusTooMany || status == kStatusUnavailable ||
        is_one_of(told.code, kThrottling)) {
        return Remedy::slow_down;
    }
    const bool is_server_error = status >= kStatusServerError && status != kStatusNotImplemented &&
                                 status != kStatusVersionNotSupported;
    if (status == kStatusTimeout || is_server_error || is_one_of(told.code, kPassing)) {
        return Remedy::try_again;
    }
    const bool wants_digest =
        status == kStatusBadRequest && told.message.find("Content-MD5") != std::string::npos;
    return wants_digest ? Remedy::send_digest : Remedy::none;
}

bool may_pass(const HttpAnswer& answer, const StoreError& told)
{
    const Remedy remedy = remedy_for(answer, told);
    return remedy == Remedy::try_again || remedy == Remedy::slow_down;
}

std::string missing_right(std::string_view right, const S3Options& options)
{
    if (right == "s3:ListBucket") {
        return fmt::format("the user needs {} on the bucket '{}'", right, options.bucket);
    }
    std::string rights(right);
    if (right == "s3:PutObject") {
        rights += options.tags.empty() ? "" : ", s3:PutObjectTagging";
        rights += options.kms_key_id.empty() ? "" : ", kms:GenerateDataKey, kms:Decrypt";
    }
    const std::string keys =
        fmt::format("s3://{}/{}", options.bucket, directory_prefix(options.root, ""));
    // Without the right to list, a store answers so for what is not there.
    return fmt::format("the user needs {} on '{}*'{}",
                       rights,
                       keys,
                       right == "s3:GetObject" ? " and s3:ListBucket on the bucket" : "");
}

Error refusal(const Purpose& purpose,
              const HttpAnswer& answer,
              const StoreError& told,
              const S3Options& options,
              UnixSeconds now)
{
    std::string reason = answer.failure;
    if (answer.status != 0) {
        reason = fmt::format("{}{}{}{}{}",
                             answer.status,
                             told.code.empty() ? "" : " ",
                             told.code,
                             told.message.empty() ? "" : ": ",
                             told.message);
    }
    return {code_for(answer, told),
            fmt::format("unable to {}: {}", purpose.action, reason),
            hint_for(purpose.right, answer, told, options, now)};
}

} // namespace pgstrata::storage
