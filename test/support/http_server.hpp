// SPDX-License-Identifier: PostgreSQL
#pragma once

#include "support/certificate.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct ssl_ctx_st;

namespace pgstrata::test {

struct SeenRequest {
    std::string method;
    std::string path;                           // as sent, without the query
    std::string query;                          // as sent
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;

    std::string header(const std::string& name) const;
};

// What to answer, and how to misbehave while doing so.
struct HttpReply {
    static constexpr std::size_t kWhole = static_cast<std::size_t>(-1);

    unsigned status = 200;
    std::string body = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::size_t reset_after = kWhole;      // bytes of the answer before the connection is reset
    std::size_t close_after = kWhole;      // the same, but closed as if it were all
    std::chrono::milliseconds slowness{0}; // a pause before every byte
    std::chrono::milliseconds delay{0};    // a pause before the first
    bool has_length = true;                // else the end of the connection ends the body
};

// The answer as bytes, to count the places where it can be cut.
std::string render(const HttpReply& reply);

// A small HTTP/1.1 server on 127.0.0.1 with a thread for each connection. The handler is called for
// one request at a time.
class HttpServer {
public:
    using Handler = std::function<HttpReply(const SeenRequest&)>;

    // `newest_tls` is a version of OpenSSL's, such as TLS1_1_VERSION; 0 for the newest there is.
    explicit HttpServer(Handler handler, const TlsFiles& tls = {}, int newest_tls = 0);
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    ~HttpServer();

    unsigned port() const { return port_; }
    std::string url() const;       // "http://127.0.0.1:4711"
    std::string authority() const; // "127.0.0.1:4711"
    std::vector<SeenRequest> requests() const;
    std::size_t connections() const { return connections_; }

private:
    void accept_all();
    void serve(int fd);

    Handler handler_;
    std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> tls_;
    int listener_ = -1;
    unsigned port_ = 0;
    std::atomic<bool> is_ending_ = false;
    std::atomic<std::size_t> connections_ = 0;
    mutable std::mutex mutex_; // guards what follows, and calls of the handler
    std::vector<SeenRequest> requests_;
    std::vector<int> open_;
    std::list<std::thread> threads_;
    std::thread acceptor_;
};

} // namespace pgstrata::test
