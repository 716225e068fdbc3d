// SPDX-License-Identifier: PostgreSQL
#include "command/s3_repository.hpp"

#include "pgstrata/util/error.hpp"

namespace pgstrata::command {

namespace {

storage::S3KeyType key_type(const std::string& name)
{
    using storage::S3KeyType;
    if (name == "auto") {
        return S3KeyType::automatic;
    }
    if (name == "web-id") {
        return S3KeyType::web_identity;
    }
    if (name == "pod-id") {
        return S3KeyType::pod_identity;
    }
    return name == "process" ? S3KeyType::process : S3KeyType::shared;
}

storage::KeepAlive keep_alive(const config::Config& config)
{
    const auto number = [&](const char* option) {
        return config.has(option) ? static_cast<unsigned>(config.number(option)) : 0U;
    };
    return {.is_on = config.flag("sck-keep-alive"),
            .idle_seconds = number("tcp-keep-alive-idle"),
            .interval_seconds = number("tcp-keep-alive-interval"),
            .count = number("tcp-keep-alive-count")};
}

storage::S3KeyOptions key_options(const config::Config& config, unsigned index)
{
    storage::S3KeyOptions keys;
    keys.type = key_type(config.text("repo-s3-key-type", index));
    keys.access_key = codec::SecretText(config.text("repo-s3-key", index));
    keys.secret_key = codec::SecretText(config.text("repo-s3-key-secret", index));
    keys.token = codec::SecretText(config.text("repo-s3-token", index));
    keys.role = config.text("repo-s3-role", index);
    if (config.has("repo-s3-sts-host", index)) {
        keys.sts_host = config.text("repo-s3-sts-host", index);
    }
    if (config.has("repo-s3-process-cmd", index)) {
        keys.process = config.list("repo-s3-process-cmd", index);
    }
    return keys;
}

} // namespace

storage::S3Options s3_options(const config::Config& config, unsigned index)
{
    const auto number = [&](const char* option) {
        return static_cast<std::uint64_t>(config.number(option, index));
    };
    storage::S3Options options;
    options.root = config.text("repo-path", index);
    options.bucket = config.text("repo-s3-bucket", index);
    options.endpoint = config.text("repo-s3-endpoint", index);
    options.region = config.text("repo-s3-region", index);
    options.service = config.text("repo-s3-service", index);
    options.uri_style = config.text("repo-s3-uri-style", index) == "path"
                            ? storage::S3UriStyle::path
                            : storage::S3UriStyle::host;
    options.host = config.text("repo-storage-host", index);
    // The default must not take the place of a port in the endpoint.
    if (config.source("repo-storage-port", index) != config::Source::built_in) {
        options.port = static_cast<unsigned>(number("repo-storage-port"));
    }
    options.keys = key_options(config, index);
    options.kms_key_id = config.text("repo-s3-kms-key-id", index);
    options.sse_customer_key = codec::SecretText(config.text("repo-s3-sse-customer-key", index));
    if (config.has("repo-storage-tag", index)) {
        options.tags = config.pairs("repo-storage-tag", index);
    }
    options.storage_class = config.text("repo-s3-storage-class", index);
    options.requester_pays = config.flag("repo-s3-requester-pays", index);
    options.part_size = number("repo-storage-upload-chunk-size");
    options.prefetch = static_cast<unsigned>(number("repo-storage-prefetch"));
    options.read_over = number("repo-storage-read-over");
    options.http.ca_file = config.text("repo-storage-ca-file", index);
    options.http.ca_path = config.text("repo-storage-ca-path", index);
    options.http.verify_tls = config.flag("repo-storage-verify-tls", index);
    options.http.timeout_milliseconds = static_cast<std::uint64_t>(config.number("io-timeout"));
    options.http.keep_alive = keep_alive(config);
    options.retry.limit_milliseconds = options.http.timeout_milliseconds;
    return options;
}

} // namespace pgstrata::command
