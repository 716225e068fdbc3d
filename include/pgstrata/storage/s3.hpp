// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "pgstrata/codec/key.hpp"
#include "pgstrata/storage/http_options.hpp"
#include "pgstrata/storage/storage.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pgstrata::storage {

// Where the credentials come from. automatic asks, in this order, the environment
// (AWS_ACCESS_KEY_ID), the web identity, the pod identity and the metadata service of the instance
// (version 2); the first that is set up decides. All but shared are renewed before they expire.
enum class S3KeyType : std::uint8_t { shared, automatic, web_identity, pod_identity, process };

struct S3KeyOptions {
    S3KeyType type = S3KeyType::shared;
    codec::SecretText access_key; // shared
    codec::SecretText secret_key;
    codec::SecretText token;                    // of a session; may be empty
    std::string role;                           // of the instance; found out when empty
    std::string sts_host = "sts.amazonaws.com"; // gives credentials for a web identity
    // A program and its arguments that prints credentials as JSON: {"Version": 1, "AccessKeyId",
    // "SecretAccessKey", "SessionToken", "Expiration"}. It sees no variable of our own.
    std::vector<std::string> process;
};

enum class S3UriStyle : std::uint8_t { host, path }; // where the bucket is named

// How long a request that fails in a way that may pass is tried again.
struct RetryOptions {
    std::uint64_t limit_milliseconds = 60000; // but at least `least_tries`
    unsigned least_tries = 3;
    std::uint64_t first_wait_milliseconds = 100; // doubled from try to try
    std::uint64_t longest_wait_milliseconds = 10000;
};

struct S3Options {
    std::string root; // "/var/lib/pgstrata": without its first slash the beginning of all keys
    std::string bucket;
    std::string endpoint; // "s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000"
    std::string region;
    std::string service = "s3"; // of the signature
    S3UriStyle uri_style = S3UriStyle::host;
    // Where to connect instead of the endpoint, with or without a port, and the port of either.
    std::string host;
    unsigned port = 0; // 0: as endpoint or host say
    S3KeyOptions keys;

    std::string kms_key_id;             // SSE-KMS
    codec::SecretText sse_customer_key; // SSE-C, in base64
    std::vector<std::pair<std::string, std::string>> tags;
    std::string storage_class;
    bool requester_pays = false;

    std::size_t part_size = 5U << 20U; // of the first parts of an upload
    // Blocks of 1 MiB that a reader from front to back gets at once, and the gap that it skips
    // without being taken for another reader.
    unsigned prefetch = 3;
    std::size_t read_over = 64U << 10U;

    HttpOptions http;
    RetryOptions retry;
};

// Objects in a bucket of S3 or of a store that speaks its protocol; the key of a path is the root
// without its slashes at both ends, a slash, and the path. There are no directories: list() and
// info() tell those that keys imply.
//
// Nothing is asked before the first use. Requests that fail in a way that may pass (the network,
// 408, 429, 5xx, SlowDown) are tried again with growing pauses, which all users of this storage
// keep when the store asks for it. Everything else fails at once with the store's own code and
// message: Error(access) for missing rights, Error(service) for other refusals, Error(protocol) for
// answers that make no sense, Error(host_connect) when nothing answers.
//
// What is larger than a part is uploaded in parts while it is written; their size grows from
// part_size so that 5 TiB stay below the limit of 10000 parts. An upload that is abandoned or fails
// is taken back. WriteMode::once is guarded by If-None-Match where the store is known to obey it,
// else by a look before the write, which keeps writers of this process apart but not those of two
// hosts at the same moment. Uploads in parts are guarded by both: some stores obey the condition of
// a single write only. WriteMode::once_named_by_contents is guarded by the condition alone.
//
// An open source is one version of an object: when that is replaced or removed, Error(file_read)
// for what is not in memory yet. Objects of up to 64 KiB are read when they are opened.
std::unique_ptr<Storage> make_s3_storage(S3Options options);

} // namespace pgstrata::storage
