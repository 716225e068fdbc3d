// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_client.hpp"

#include "storage/aws_text.hpp"
#include "storage/http_status.hpp"

#include "pgstrata/codec/digest.hpp"
#include "pgstrata/log/log.hpp"
#include "pgstrata/util/hex.hpp"

#include <algorithm>

namespace pgstrata::storage {

namespace {

std::string md5_base64(ByteView bytes)
{
    return to_base64(codec::md5(bytes));
}

// Some headers are secrets.
void wipe_values(std::vector<HttpHeader>& headers)
{
    for (HttpHeader& header : headers) {
        codec::wipe(std::as_writable_bytes(std::span(header.value)));
    }
}

bool is_good(const S3Request& request, const HttpAnswer& answer, const StoreError& told)
{
    if (answer.status >= kStatusOk && answer.status < kStatusRedirects) {
        return request.expects == BodyKind::plain || told.code.empty();
    }
    // A bucket that is missing proves nothing about its objects.
    return std::ranges::find(request.accepted, answer.status) != request.accepted.end() &&
           told.code != "NoSuchBucket";
}

Tries::Cause cause_of(Remedy remedy)
{
    return remedy == Remedy::slow_down ? Tries::Cause::throttle : Tries::Cause::failure;
}

std::string_view right_for(const S3Request& request)
{
    if (request.method == "GET" || request.method == "HEAD") {
        return request.key.empty() ? "s3:ListBucket" : "s3:GetObject";
    }
    if (request.key.empty()) {
        return "s3:DeleteObject"; // many at once
    }
    if (request.method == "DELETE") {
        return request.query.empty() ? "s3:DeleteObject" : "s3:AbortMultipartUpload";
    }
    return "s3:PutObject";
}

} // namespace

Purpose purpose_of(const S3Request& request)
{
    return {request.action, right_for(request)};
}

S3Client::S3Client(S3Options options, AwsSurroundings surroundings)
    : options_(std::move(options)), surroundings_(std::move(surroundings)),
      address_(resolve_address(options_)), http_(options_.http),
      credentials_(options_.keys, options_.http, options_.retry, surroundings_),
      pace_(options_.retry)
{
}

std::string S3Client::name_of(std::string_view key) const
{
    return fmt::format("s3://{}/{}", options_.bucket, key);
}

std::vector<HttpHeader> S3Client::encryption_headers() const
{
    if (options_.sse_customer_key.empty()) {
        return {};
    }
    const std::string_view key = options_.sse_customer_key.view();
    constexpr std::size_t kKeySize = 32;
    auto bytes = from_base64(key);
    if (!bytes || bytes->size() != kKeySize) {
        raise(ErrorCode::option_invalid_value,
              "option 'repo-s3-sse-customer-key' is not {} bytes in base64",
              kKeySize);
    }
    std::vector<HttpHeader> headers{
        {"x-amz-server-side-encryption-customer-algorithm", "AES256"},
        {"x-amz-server-side-encryption-customer-key", std::string(key)},
        {"x-amz-server-side-encryption-customer-key-md5", md5_base64(*bytes)}};
    codec::wipe(*bytes);
    return headers;
}

std::vector<HttpHeader> S3Client::new_object_headers() const
{
    std::vector<HttpHeader> headers = encryption_headers();
    if (!options_.kms_key_id.empty()) {
        headers.push_back({"x-amz-server-side-encryption", "aws:kms"});
        headers.push_back({"x-amz-server-side-encryption-aws-kms-key-id", options_.kms_key_id});
    }
    if (!options_.tags.empty()) {
        headers.push_back({"x-amz-tagging", canonical_query(options_.tags)});
    }
    if (!options_.storage_class.empty()) {
        headers.push_back({"x-amz-storage-class", options_.storage_class});
    }
    return headers;
}

HttpHeader S3Client::digest_header(ByteView body) const
{
    if (!has_md5()) {
        throw Error(ErrorCode::crypto,
                    fmt::format("bucket '{}' wants MD5 digests, which this system forbids",
                                options_.bucket),
                    "use a bucket without object lock, or a host that is not in FIPS mode");
    }
    return {"content-md5", md5_base64(body)};
}

HttpAnswer S3Client::try_once(const S3Request& request,
                              const AwsCredentials& credentials,
                              const std::string& payload_hash)
{
    const UnixSeconds now = surroundings_.now();
    const std::string path = address_.path_prefix + "/" + uri_encode(request.key, UriPart::path);
    const std::string query = canonical_query(request.query);
    HttpRequest http{.method = request.method,
                     .url = address_.url + path + (query.empty() ? "" : "?" + query),
                     .headers = request.headers,
                     .body = request.body,
                     .into = request.into,
                     .timeout_milliseconds = request.timeout_milliseconds};
    http.cancellation = request.is_last_wish ? Cancellation::ignored : Cancellation::obeyed;
    http.headers.push_back({"host", address_.host});
    http.headers.push_back({"x-amz-date", amz_date(now)});
    http.headers.push_back({"x-amz-content-sha256", payload_hash});
    if (!credentials.token.empty()) {
        http.headers.push_back({"x-amz-security-token", std::string(credentials.token.view())});
    }
    if (options_.requester_pays) {
        http.headers.push_back({"x-amz-request-payer", "requester"});
    }
    if (request.digest == Digest::always || (wants_digest_ && !request.body.empty())) {
        http.headers.push_back(digest_header(request.body));
    }
    http.headers.push_back({"authorization",
                            authorization({request.method, path, query, http.headers, payload_hash},
                                          credentials,
                                          {options_.region, options_.service},
                                          now)});
    HttpAnswer answer = http_.send(http);
    wipe_values(http.headers);
    return answer;
}

HttpAnswer S3Client::send(const S3Request& request)
{
    const std::string payload_hash = to_hex(codec::sha256(request.body));
    bool has_renewed = false;
    for (Tries tries(pace_);;) {
        if (!request.is_last_wish) {
            pace_.wait_for_turn();
        }
        const auto credentials = credentials_.current();
        const bool was_digest_wanted = wants_digest_;
        HttpAnswer answer = try_once(request, *credentials, payload_hash);
        const bool has_text = request.expects == BodyKind::xml || answer.status >= kStatusRedirects;
        const StoreError told = has_text ? parse_error(answer.body) : StoreError{};
        if (is_good(request, answer, told)) {
            return answer;
        }
        const Remedy remedy = remedy_for(answer, told);
        if (remedy == Remedy::send_digest && !was_digest_wanted) {
            wants_digest_ = true;
            continue;
        }
        if (remedy == Remedy::renew && !has_renewed && credentials_.renew(credentials)) {
            has_renewed = true;
            continue;
        }
        const auto error = [&] {
            return refusal(purpose_of(request), answer, told, options_, surroundings_.now());
        };
        if (!may_pass(answer, told) || request.is_last_wish ||
            !tries.wait_for_next(
                cause_of(remedy),
                parse_retry_after(answer.header("retry-after"), surroundings_.now()))) {
            throw error();
        }
        log::detail("try again: {}", error().what());
    }
}

S3Client::Turn::Turn(S3Client& client, std::string key) : client_(client), key_(std::move(key))
{
    std::unique_lock lock(client_.mutex_);
    client_.freed_.wait(lock, [&] { return client_.busy_keys_.insert(key_).second; });
}

S3Client::Turn::~Turn()
{
    const std::lock_guard lock(client_.mutex_);
    client_.busy_keys_.erase(key_);
    client_.freed_.notify_all();
}

} // namespace pgstrata::storage
