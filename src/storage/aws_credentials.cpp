// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_credentials.hpp"

#include "storage/aws_text.hpp"
#include "storage/http_status.hpp"
#include "storage/s3_error.hpp"

#include "pgstrata/log/log.hpp"
#include "pgstrata/util/error.hpp"
#include "pgstrata/util/file_descriptor.hpp"
#include "pgstrata/util/process.hpp"

#include <algorithm>
#include <cstdlib>

namespace pgstrata::storage {

namespace {

constexpr UnixSeconds kRenewBefore = 300;
constexpr UnixSeconds kShareOfLife = 4; // short lives are renewed this part before their end
constexpr UnixSeconds kPauseAfterFailure = 30;
constexpr std::size_t kTokenFileLimit = 65536;
constexpr std::size_t kAnswerLimit = 256U << 10U;
constexpr const char* kInstanceAddress = "http://169.254.169.254";
constexpr const char* kContainerHost = "http://169.254.170.2";

HttpOptions metadata_options(std::uint64_t timeout)
{
    return {.timeout_milliseconds = timeout, .proxy = Proxy::none};
}

// Where there is no such service, that is not waited for.
RetryOptions metadata_retries(RetryOptions retry)
{
    constexpr std::uint64_t kLimit = 5000;
    retry.limit_milliseconds = std::min(retry.limit_milliseconds, kLimit);
    return retry;
}

// The first line without blanks around it: files and answers may end with a line feed.
std::string first_word(std::string_view text)
{
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    return std::string(text.substr(begin, text.find_first_of(" \t\r\n", begin) - begin));
}

void wipe(std::string& text)
{
    codec::wipe(std::as_writable_bytes(std::span(text)));
}

} // namespace

AwsSurroundings real_surroundings()
{
    return {.variable = [](const std::string& name) -> std::optional<std::string> {
                const char* value = std::getenv(name.c_str());
                return value == nullptr ? std::nullopt : std::optional<std::string>(value);
            },
            .now = [] { return now_seconds(); }};
}

bool is_renewal_due(const CredentialLife& life, UnixSeconds now)
{
    if (!life.expires) {
        return false;
    }
    const bool has_just_failed =
        life.renewal_failed && now < *life.renewal_failed + kPauseAfterFailure;
    if (has_just_failed) {
        return now >= *life.expires;
    }
    const UnixSeconds lifetime = *life.expires - life.obtained;
    return now >= *life.expires - std::min(kRenewBefore, lifetime / kShareOfLife);
}

CredentialSource::CredentialSource(S3KeyOptions keys,
                                   const HttpOptions& http,
                                   const RetryOptions& retry,
                                   AwsSurroundings surroundings)
    : keys_(std::move(keys)), process_milliseconds_(http.timeout_milliseconds),
      surroundings_(std::move(surroundings)), client_(http),
      metadata_client_(metadata_options(surroundings_.metadata_timeout_milliseconds)), pace_(retry),
      metadata_pace_(metadata_retries(retry))
{
}

std::shared_ptr<const AwsCredentials> CredentialSource::current()
{
    const std::lock_guard lock(mutex_);
    const UnixSeconds now = surroundings_.now();
    if (current_ && !is_renewal_due(life_, now)) {
        return current_;
    }
    try {
        current_ = std::make_shared<const AwsCredentials>(fetch());
        life_ = {.obtained = now, .expires = current_->expires};
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated || !current_ || *current_->expires <= now) {
            throw;
        }
        life_.renewal_failed = surroundings_.now();
        log::detail("use the old credentials a little longer: {}", error.what());
    }
    return current_;
}

bool CredentialSource::renew(const std::shared_ptr<const AwsCredentials>& expired)
{
    const std::lock_guard lock(mutex_);
    if (current_ == expired) {
        current_.reset();
    }
    return keys_.type != S3KeyType::shared;
}

AwsCredentials CredentialSource::fetch()
{
    const auto required = [](std::optional<AwsCredentials> found, const char* hint) {
        if (!found) {
            throw Error(ErrorCode::access, "there are no credentials for the storage", hint);
        }
        return std::move(*found);
    };
    switch (keys_.type) {
    case S3KeyType::automatic:
        return fetch_automatic();
    case S3KeyType::web_identity:
        return required(from_web_identity(),
                        "set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE in the environment");
    case S3KeyType::pod_identity:
        return required(from_container(),
                        "set AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment");
    case S3KeyType::process:
        return from_process();
    case S3KeyType::shared:
        break;
    }
    return {.access_key = std::string(keys_.access_key.view()),
            .secret_key = keys_.secret_key,
            .token = keys_.token};
}

AwsCredentials CredentialSource::fetch_automatic()
{
    if (auto found = from_environment()) {
        return std::move(*found);
    }
    if (auto found = from_web_identity()) {
        return std::move(*found);
    }
    if (auto found = from_container()) {
        return std::move(*found);
    }
    return from_instance();
}

std::string CredentialSource::setting(const std::string& variable) const
{
    return surroundings_.variable(variable).value_or("");
}

std::optional<AwsCredentials> CredentialSource::from_environment() const
{
    AwsCredentials credentials{.access_key = setting("AWS_ACCESS_KEY_ID"),
                               .secret_key = codec::SecretText(setting("AWS_SECRET_ACCESS_KEY")),
                               .token = codec::SecretText(setting("AWS_SESSION_TOKEN"))};
    const bool is_set = !credentials.access_key.empty() && !credentials.secret_key.empty();
    return is_set ? std::optional(std::move(credentials)) : std::nullopt;
}

std::optional<AwsCredentials> CredentialSource::from_web_identity()
{
    const std::string role = setting("AWS_ROLE_ARN");
    const std::string file = setting("AWS_WEB_IDENTITY_TOKEN_FILE");
    if (role.empty() || file.empty()) {
        return std::nullopt;
    }
    std::string content = read_text_file(file, kTokenFileLimit);
    std::string token = first_word(content);
    std::string body = canonical_query({{"Action", "AssumeRoleWithWebIdentity"},
                                        {"Version", "2011-06-15"},
                                        {"RoleArn", role},
                                        {"RoleSessionName", "pgstrata"},
                                        {"WebIdentityToken", token}});
    wipe(content);
    wipe(token);
    const std::string& host = keys_.sts_host;
    const std::string url = host.find("://") == std::string::npos ? "https://" + host : host;
    HttpAnswer answer = send(client_,
                             {.method = "POST",
                              .url = url + "/",
                              .headers = {{"content-type", "application/x-www-form-urlencoded"}},
                              .body = as_bytes(body),
                              .limit = kAnswerLimit},
                             "the token service '" + host + "'");
    wipe(body);
    return parse_credentials_xml(answer.body.span());
}

std::optional<AwsCredentials> CredentialSource::from_container()
{
    std::string url = setting("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const std::string relative = setting("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (!relative.empty()) {
        url = kContainerHost + relative;
    }
    if (url.empty()) {
        return std::nullopt;
    }
    if (!is_allowed_container_address(url)) {
        throw Error(ErrorCode::access,
                    "the address of the container's credentials is neither https nor on this host",
                    "check AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment");
    }
    HttpRequest request{.url = url, .limit = kAnswerLimit};
    const std::string file = setting("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    std::string token = file.empty() ? setting("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                                     : first_word(read_text_file(file, kTokenFileLimit));
    if (!token.empty()) {
        request.headers = {{"authorization", token}};
    }
    wipe(token);
    HttpAnswer answer = send(metadata_client_, request, "the pod identity agent");
    for (HttpHeader& header : request.headers) {
        wipe(header.value);
    }
    AwsCredentials credentials =
        parse_credentials_json(as_text(answer.body), "the pod identity agent");
    codec::wipe(answer.body.span());
    return credentials;
}

std::string CredentialSource::ask_instance(HttpRequest request, std::string_view what)
{
    const std::string address = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    request.url = (address.empty() ? kInstanceAddress : address) + request.url;
    request.limit = kAnswerLimit;
    HttpAnswer answer = send(metadata_client_, request, what);
    std::string text(as_text(answer.body));
    codec::wipe(answer.body.span());
    return text;
}

AwsCredentials CredentialSource::from_instance()
{
    const std::string path = "/latest/meta-data/iam/security-credentials/";
    const std::string service = "the instance metadata service";
    try {
        std::string token =
            first_word(ask_instance({.method = "PUT",
                                     .url = "/latest/api/token",
                                     .headers = {{"x-aws-ec2-metadata-token-ttl-seconds", "300"}}},
                                    service));
        const std::vector<HttpHeader> headers{{"x-aws-ec2-metadata-token", token}};
        wipe(token);
        const std::string role =
            keys_.role.empty()
                ? first_word(ask_instance({.url = path, .headers = headers}, service))
                : keys_.role;
        std::string text = ask_instance(
            {.url = path + uri_encode(role, UriPart::value), .headers = headers}, service);
        AwsCredentials credentials = parse_credentials_json(text, service);
        wipe(text);
        return credentials;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::terminated) {
            throw;
        }
        throw error.with_hint("no credentials are in the environment; give this instance a role, "
                              "or set 'repo-s3-key-type'");
    }
}

AwsCredentials CredentialSource::from_process() const
{
    try {
        std::string text =
            run_program(keys_.process, process_milliseconds_, {"PGSTRATA_", "PGBACKREST_"});
        AwsCredentials credentials = parse_credentials_json(text, "the credential program");
        wipe(text);
        return credentials;
    } catch (const Error& error) {
        throw error.within("run 'repo-s3-process-cmd'");
    }
}

HttpAnswer
CredentialSource::send(HttpClient& client, const HttpRequest& request, std::string_view what)
{
    for (Tries tries(&client == &client_ ? pace_ : metadata_pace_);;) {
        HttpAnswer answer = client.send(request);
        if (answer.status == kStatusOk) {
            return answer;
        }
        const StoreError told = parse_error(answer.body);
        if (may_pass(answer, told) && tries.wait_for_next(Tries::Cause::failure, std::nullopt)) {
            continue;
        }
        if (answer.status == 0) {
            raise(ErrorCode::host_connect, "unable to ask {}: {}", what, answer.failure);
        }
        raise(ErrorCode::access,
              "{} answers {}{}",
              what,
              answer.status,
              told.code.empty() ? "" : fmt::format(" {}: {}", told.code, told.message));
    }
}

} // namespace pgstrata::storage
