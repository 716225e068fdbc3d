// SPDX-License-Identifier: PostgreSQL
#include "support/http_server.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>

namespace pgstrata::test {

namespace {

struct SslDeleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// One connection, plain or TLS.
class Stream {
public:
    Stream(int fd, SSL_CTX* context) : fd_(fd)
    {
        if (context != nullptr) {
            ssl_.reset(SSL_new(context));
            SSL_set_fd(ssl_.get(), fd);
            is_good_ = SSL_accept(ssl_.get()) == 1;
        }
    }
    bool is_good() const { return is_good_; }

    std::string read_some() const
    {
        std::array<char, 65536> bytes{};
        const auto size =
            ssl_ ? static_cast<ssize_t>(SSL_read(ssl_.get(), bytes.data(), bytes.size()))
                 : ::recv(fd_, bytes.data(), bytes.size(), 0);
        return size > 0 ? std::string(bytes.data(), static_cast<std::size_t>(size)) : std::string();
    }
    bool write(std::string_view bytes) const
    {
        while (!bytes.empty()) {
            const auto size = ssl_ ? static_cast<ssize_t>(SSL_write(
                                         ssl_.get(), bytes.data(), static_cast<int>(bytes.size())))
                                   : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size <= 0) {
                return false;
            }
            bytes.remove_prefix(static_cast<std::size_t>(size));
        }
        return true;
    }
    void reset() const
    {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }

private:
    int fd_;
    std::unique_ptr<SSL, SslDeleter> ssl_;
    bool is_good_ = true;
};

std::string lower(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return text;
}

// `buffer` keeps what came behind the request. False when the peer has gone.
bool read_request(const Stream& stream, std::string& buffer, SeenRequest& request)
{
    const auto fill_until = [&](const auto& is_enough) {
        while (!is_enough()) {
            const std::string more = stream.read_some();
            if (more.empty()) {
                return false;
            }
            buffer += more;
        }
        return true;
    };
    if (!fill_until([&] { return buffer.find("\r\n\r\n") != std::string::npos; })) {
        return false;
    }
    const std::size_t end = buffer.find("\r\n\r\n");
    std::string head = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    const std::string first = head.substr(0, head.find("\r\n"));
    head.erase(0, first.size() + 2);
    request = {};
    request.method = first.substr(0, first.find(' '));
    const std::string target =
        first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
    request.path = target.substr(0, target.find('?'));
    request.query =
        target.size() > request.path.size() ? target.substr(request.path.size() + 1) : "";
    while (!head.empty()) {
        const std::string line = head.substr(0, head.find("\r\n"));
        head.erase(0, line.size() + 2);
        const std::size_t colon = line.find(':');
        const std::size_t value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
        request.headers[lower(line.substr(0, colon))] = line.substr(value);
    }
    const std::size_t length = std::stoul("0" + request.header("content-length"));
    if (!fill_until([&] { return buffer.size() >= length; })) {
        return false;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    return true;
}

// Whether the connection may be used again.
bool send_reply(const Stream& stream, const HttpReply& reply, bool is_head)
{
    std::string bytes = render(reply);
    if (is_head) {
        bytes.resize(bytes.find("\r\n\r\n") + 4);
    }
    std::this_thread::sleep_for(reply.delay);
    const std::size_t size = std::min({bytes.size(), reply.reset_after, reply.close_after});
    const std::string_view part = std::string_view(bytes).substr(0, size);
    bool is_sent = true;
    if (reply.slowness.count() == 0) {
        is_sent = stream.write(part);
    }
    for (std::size_t i = 0; i < size && is_sent && reply.slowness.count() != 0; ++i) {
        std::this_thread::sleep_for(reply.slowness);
        is_sent = stream.write(part.substr(i, 1));
    }
    if (reply.reset_after != HttpReply::kWhole) {
        stream.reset();
    }
    return is_sent && size == bytes.size() && reply.has_length &&
           reply.reset_after == HttpReply::kWhole && reply.close_after == HttpReply::kWhole;
}

} // namespace

std::string SeenRequest::header(const std::string& name) const
{
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
}

std::string render(const HttpReply& reply)
{
    std::string text = fmt::format("HTTP/1.1 {} Status\r\n", reply.status);
    const auto names_length = [](const auto& header) { return header.first == "Content-Length"; };
    if (reply.has_length &&
        std::none_of(reply.headers.begin(), reply.headers.end(), names_length)) {
        text += fmt::format("Content-Length: {}\r\n", reply.body.size());
    }
    for (const auto& [name, value] : reply.headers) {
        text += fmt::format("{}: {}\r\n", name, value);
    }
    return text + "\r\n" + reply.body;
}

HttpServer::HttpServer(Handler handler, const TlsFiles& tls, int newest_tls)
    : handler_(std::move(handler)), tls_(nullptr, &SSL_CTX_free)
{
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN)); // SSL_write has no MSG_NOSIGNAL
    if (!tls.certificate.empty()) {
        tls_.reset(SSL_CTX_new(TLS_server_method()));
        if (SSL_CTX_use_certificate_chain_file(tls_.get(), tls.certificate.c_str()) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls_.get(), tls.key.c_str(), SSL_FILETYPE_PEM) != 1) {
            throw std::runtime_error("the certificate of the test server cannot be used");
        }
        if (newest_tls != 0) {
            // At its default level OpenSSL knows nothing that is older than TLS 1.2.
            SSL_CTX_set_security_level(tls_.get(), 0);
            SSL_CTX_set_min_proto_version(tls_.get(), 0);
            SSL_CTX_set_max_proto_version(tls_.get(), newest_tls);
        }
    }
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error("the test server cannot listen");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer()
{
    is_ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const int fd : open_) {
            ::shutdown(fd, SHUT_RDWR);
        }
    }
    for (auto& thread : threads_) {
        thread.join();
    }
    ::close(listener_);
}

std::string HttpServer::url() const
{
    return fmt::format("{}://{}", tls_ ? "https" : "http", authority());
}

std::string HttpServer::authority() const
{
    return fmt::format("127.0.0.1:{}", port_);
}

std::vector<SeenRequest> HttpServer::requests() const
{
    const std::lock_guard lock(mutex_);
    return requests_;
}

void HttpServer::accept_all()
{
    for (;;) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        ++connections_;
        const std::lock_guard lock(mutex_);
        open_.push_back(fd);
        threads_.emplace_back([this, fd] { serve(fd); });
    }
}

void HttpServer::serve(int fd)
{
    {
        const Stream stream(fd, tls_.get());
        std::string buffer;
        SeenRequest request;
        while (stream.is_good() && !is_ending_ && read_request(stream, buffer, request)) {
            HttpReply reply;
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(request);
                reply = handler_(request);
            }
            if (!send_reply(stream, reply, request.method == "HEAD")) {
                break;
            }
        }
    }
    const std::lock_guard lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), fd));
    ::close(fd);
}

} // namespace pgstrata::test
