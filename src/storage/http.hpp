// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "storage/aws_signature.hpp"

#include "pgstrata/storage/http_options.hpp"
#include "pgstrata/util/bytes.hpp"
#include "pgstrata/util/non_copyable.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgstrata::storage {

enum class Cancellation : std::uint8_t { obeyed, ignored };

struct HttpRequest {
    std::string method = "GET";
    std::string url; // http:// or https://
    std::vector<HttpHeader> headers;
    ByteView body = {};
    // Takes the body of an answer 206, which may have as many bytes at most. The bodies of other
    // answers, of at most `limit` bytes, go to HttpAnswer::body.
    MutableBytes into = {};
    std::size_t limit = 16U << 20U;
    // How long nothing much may move; 0 for HttpOptions::timeout_milliseconds.
    std::uint64_t timeout_milliseconds = 0;
    // Whether a signal that asks the process to end also ends the request.
    Cancellation cancellation = Cancellation::obeyed;
};

struct HttpAnswer {
    unsigned status = 0; // 0: no whole answer came, and `failure` says why
    std::string failure;
    bool may_pass = false;                                   // the failure
    std::map<std::string, std::string, std::less<>> headers; // names in lower case
    Buffer body;
    std::size_t received = 0; // bytes in HttpRequest::into

    std::string_view header(std::string_view name) const; // empty when there is none
};

// Sends requests over connections that it keeps, one for each request under way. May be called from
// any thread.
class HttpClient : NonCopyable {
public:
    explicit HttpClient(HttpOptions options);
    ~HttpClient();

    // Failures of the network are answers. Throws Error(terminated) after a signal, Error(kernel)
    // for want of file descriptors, and Error(host_connect) where there is no libcurl.
    HttpAnswer send(const HttpRequest& request);

private:
    struct Pool;
    HttpOptions options_;
    std::unique_ptr<Pool> pool_;
};

} // namespace pgstrata::storage
