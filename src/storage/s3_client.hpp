// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/aws_credentials.hpp"
#include "storage/s3_address.hpp"
#include "storage/s3_error.hpp"

#include <atomic>
#include <condition_variable>
#include <set>
#include <vector>

namespace pgstrata::storage {

enum class BodyKind : std::uint8_t {
    plain,
    xml // of the answer: an error in it is a failure, whatever the status says
};
enum class Digest : std::uint8_t { when_wanted, always };

struct S3Request {
    std::string action; // for messages: "write 'a/b'"
    std::string method = "GET";
    std::string key; // empty: the bucket itself
    QueryParameters query;
    std::vector<HttpHeader> headers;
    ByteView body = {};
    MutableBytes into = {};
    std::vector<unsigned> accepted; // statuses besides 2xx that are answers, not failures
    BodyKind expects = BodyKind::plain;
    Digest digest = Digest::when_wanted;
    std::uint64_t timeout_milliseconds = 0;
    bool is_last_wish = false; // made once, and even when the process is to end
};

Purpose purpose_of(const S3Request& request);

// One bucket: signs, sends and repeats requests. May be used from any thread.
class S3Client : NonCopyable {
public:
    // What is known about writes with a condition.
    enum class Conditions : std::uint8_t { unknown, obeyed, refused };

    S3Client(S3Options options, AwsSurroundings surroundings);

    // Returns an answer with a status of 2xx or one that is accepted; throws as storage/s3.hpp
    // says.
    HttpAnswer send(const S3Request& request);
    // The same for an answer in XML; one that is damaged is asked for again.
    template <typename Parse>
    auto ask(const S3Request& request, const Parse& parse)
    {
        constexpr unsigned kMostTries = 3;
        for (unsigned tries = 1;; ++tries) {
            HttpAnswer answer = send(request);
            try {
                return parse(std::move(answer));
            } catch (const Error& error) {
                if (error.code() != ErrorCode::protocol) {
                    throw;
                }
                if (tries == kMostTries) {
                    throw error.within("unable to " + request.action);
                }
            }
        }
    }

    const S3Options& options() const noexcept { return options_; }
    // Without it requests fail whose digest is always wanted.
    bool has_md5() const { return surroundings_.has_md5(); }
    std::string key_of(std::string_view path) const { return object_key(options_.root, path); }
    // "s3://bucket/key"
    std::string name_of(std::string_view key) const;
    // Headers of requests that begin a new object, and of all that touch the bytes of one.
    std::vector<HttpHeader> new_object_headers() const;
    std::vector<HttpHeader> encryption_headers() const;

    std::atomic<Conditions> conditions = Conditions::unknown;

    // Keeps those apart that write the same key once, while it lives.
    class Turn : NonCopyable {
    public:
        Turn(S3Client& client, std::string key);
        ~Turn();

    private:
        S3Client& client_;
        std::string key_;
    };

private:
    HttpHeader digest_header(ByteView body) const;
    HttpAnswer try_once(const S3Request& request,
                        const AwsCredentials& credentials,
                        const std::string& payload_hash);

    S3Options options_;
    AwsSurroundings surroundings_;
    S3Address address_;
    HttpClient http_;
    CredentialSource credentials_;
    Pace pace_;
    std::atomic<bool> wants_digest_ = false;
    std::mutex mutex_; // guards busy_keys_
    std::condition_variable freed_;
    std::set<std::string> busy_keys_;
};

} // namespace pgstrata::storage
