// SPDX-License-Identifier: PostgreSQL
#include "storage/curl_library.hpp"
#include "storage/http.hpp"
#include "support/http_server.hpp"
#include "support/matchers.hpp"
#include "support/no_descriptors.hpp"
#include "support/process.hpp"
#include "support/temporary_directory.hpp"

#include "pgstrata/util/cancel.hpp"

#include <catch2/catch.hpp>
#include <openssl/ssl.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <thread>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;
using namespace std::chrono_literals;

namespace {

HttpReply hello(const SeenRequest&)
{
    return {.body = "hello", .headers = {{"X-One", "1"}, {"x-one", " 2 "}}};
}

// The descriptor of our end of a connection to that port; -1 when there is none.
int connection_to(unsigned port)
{
    constexpr int kMostDescriptors = 1024;
    for (int fd = 0; fd < kMostDescriptors; ++fd) {
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
            peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) {
            return fd;
        }
    }
    return -1;
}

int socket_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, option, &value, &size) == 0 ? value : -1;
}

HttpAnswer get(HttpClient& client, const HttpServer& server)
{
    return client.send({.url = server.url() + "/"});
}

} // namespace

TEST_CASE("an answer has its status, its headers and its body", "[s3][http][bug-44]")
{
    HttpServer server(hello);
    HttpClient client({});

    const HttpAnswer answer = get(client, server);

    CHECK(answer.status == 200);
    CHECK(as_text(answer.body) == "hello");
    CHECK(answer.header("x-one") == "1, 2");
    CHECK(answer.header("x-two").empty());
}

TEST_CASE("a request is sent as it was given", "[s3][http]")
{
    HttpServer server(hello);
    HttpClient client({});
    const std::string body(3'000'000, 'b');
    const std::string method = GENERATE("PUT", "POST");

    client.send({.method = method,
                 .url = server.url() + "/a/../b%20c?x=1&y=",
                 .headers = {{"x-given", "value"}, {"x-empty", ""}},
                 .body = as_bytes(body)});

    const SeenRequest seen = server.requests().at(0);
    CHECK(seen.method == method);
    CHECK(seen.path == "/a/../b%20c");
    CHECK(seen.query == "x=1&y=");
    CHECK(seen.header("x-given") == "value");
    CHECK(seen.headers.contains("x-empty"));
    CHECK_FALSE(seen.headers.contains("expect"));
    CHECK_FALSE(seen.headers.contains("content-type"));
    CHECK(seen.body == body);
}

TEST_CASE("a connection serves many requests", "[s3][http]")
{
    HttpServer server(hello);
    HttpClient client({});

    for (int i = 0; i < 5; ++i) {
        CHECK(get(client, server).status == 200);
        CHECK(client.send({.method = "HEAD", .url = server.url()}).status == 200);
        CHECK(client.send({.method = "DELETE", .url = server.url()}).status == 200);
    }

    CHECK(server.connections() == 1);
    CHECK(server.requests().at(1).method == "HEAD");
    CHECK(server.requests().at(2).method == "DELETE");
}

TEST_CASE("a part of an object goes where the caller wants it", "[s3][http]")
{
    HttpServer server([](const SeenRequest&) { return HttpReply{.status = 206, .body = "hello"}; });
    HttpClient client({});
    std::array<std::byte, 8> bytes{};
    const auto ask = [&](std::size_t size) {
        return client.send({.url = server.url(), .into = MutableBytes(bytes).first(size)});
    };

    const HttpAnswer whole = ask(8);
    CHECK(whole.status == 206);
    CHECK(whole.received == 5);
    CHECK(whole.body.empty());
    CHECK(as_text(ByteView(bytes).first(5)) == "hello");

    const HttpAnswer too_long = ask(4);
    CHECK(too_long.status == 0);
    CHECK_FALSE(too_long.may_pass);
}

TEST_CASE("an answer that is too large is refused", "[s3][http][bug-54]")
{
    SECTION("in its body")
    {
        HttpServer server([](const SeenRequest&) { return HttpReply{.body = "hello"}; });
        HttpClient client({});

        CHECK(client.send({.url = server.url(), .limit = 5}).status == 200);
        CHECK(client.send({.url = server.url(), .limit = 4}).status == 0);
    }
    SECTION("in its headers")
    {
        HttpServer server([](const SeenRequest&) {
            HttpReply reply;
            for (int i = 0; i < 100; ++i) {
                reply.headers.emplace_back("x" + std::to_string(i), std::string(1000, 'h'));
            }
            return reply;
        });
        HttpClient client({});

        CHECK(get(client, server).status == 0);
    }
}

TEST_CASE("an answer cut at any byte is no answer", "[s3][http][bug-17]")
{
    const HttpReply whole{.body = "hello", .headers = {{"ETag", "\"x\""}}};
    HttpReply reply;
    HttpServer server([&](const SeenRequest&) { return reply; });
    HttpClient client({});
    const std::size_t size = render(whole).size();

    for (std::size_t at = 0; at < size; ++at) {
        CAPTURE(at);
        reply = whole;
        (at % 2 == 0 ? reply.reset_after : reply.close_after) = at;
        const HttpAnswer answer = get(client, server);
        CHECK(answer.status == 0);
        CHECK(answer.may_pass);
        CHECK_FALSE(answer.failure.empty());
    }
    reply = whole;
    CHECK(get(client, server).status == 200);
}

TEST_CASE("a server that is silent or slow is given up", "[s3][http][bug-57]")
{
    const auto reply = GENERATE(HttpReply{.delay = 1500ms},
                                HttpReply{.body = std::string(100, 'x'), .slowness = 50ms});
    HttpServer server([&](const SeenRequest&) { return reply; });
    HttpClient client({.timeout_milliseconds = 300});
    const auto began = monotonic_milliseconds();

    const HttpAnswer answer = get(client, server);

    CHECK(answer.status == 0);
    CHECK(answer.may_pass);
    CHECK(answer.failure == "the time-out of 300 ms has passed");
    CHECK(monotonic_milliseconds() - began < 3000);
}

TEST_CASE("a refused connection and an unknown host may pass", "[s3][http]")
{
    HttpClient client({});
    std::string url;
    {
        const HttpServer gone(hello);
        url = gone.url();
    }

    const HttpAnswer answer = client.send({.url = url});

    CHECK(answer.status == 0);
    CHECK(answer.may_pass);
}

TEST_CASE("a request can be sent again after a failure", "[s3][http][bug-44]")
{
    HttpClient client({.timeout_milliseconds = 200});
    const std::string nowhere = GENERATE("http://127.0.0.1:1/", "http://no-such-host.invalid/");
    CAPTURE(nowhere);
    HttpServer server(hello);

    for (int i = 0; i < 3; ++i) {
        CHECK(client.send({.url = nowhere}).may_pass);
        CHECK(get(client, server).status == 200);
    }
}

TEST_CASE("want of file descriptors is not taken for a fault of the network", "[s3][http][bug-58]")
{
    const HttpServer server(hello);
    HttpClient client({});
    REQUIRE(client.send({.url = server.url()}).status == 200);
    HttpClient another({});

    const NoDescriptors none;
    CHECK_THROWS_MATCHES(another.send({.url = server.url()}), Error, HasCode(ErrorCode::kernel));
}

TEST_CASE("a request ends with the process unless it has to be finished", "[s3][http][bug-57]")
{
    HttpServer server([](const SeenRequest&) { return HttpReply{.delay = 100ms}; });
    HttpClient client({});

    set_pending_signal(SIGTERM);
    CHECK_THROWS_MATCHES(get(client, server), Error, HasCode(ErrorCode::terminated));
    CHECK(client.send({.url = server.url(), .cancellation = Cancellation::ignored}).status == 200);
    set_pending_signal(0);
}

TEST_CASE("connections are probed as the options say", "[s3][http]")
{
    const auto& [options, expected] = GENERATE(table<KeepAlive, std::array<int, 4>>({
        {{true, 7, 8, 5}, {1, 7, 8, 5}},
        {{false, 7, 8, 5}, {0, -1, -1, 5}},
    }));
    HttpServer server(hello);
    HttpClient client({.keep_alive = options});

    REQUIRE(get(client, server).status == 200);

    const int fd = connection_to(server.port());
    REQUIRE(fd >= 0);
    CHECK(socket_option(fd, SOL_SOCKET, SO_KEEPALIVE) == expected[0]);
    CHECK(socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT) == expected[3]);
    if (options.is_on) {
        CHECK(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == expected[1]);
        CHECK(socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL) == expected[2]);
    }
}

TEST_CASE("a server that speaks TLS 1.1 at most is refused", "[s3][http][tls]")
{
    TemporaryDirectory directory;
    const TlsFiles files = make_certificate(directory.path());
    const int newest = GENERATE(TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION);
    HttpServer server(hello, files, newest);
    // The server itself can be spoken to.
    const std::string port = std::to_string(server.port());
    const auto old =
        run_process({"/bin/sh",
                     "-c",
                     "OPENSSL_CONF=/dev/null openssl s_client -connect 127.0.0.1:" + port +
                         " -cipher ALL:@SECLEVEL=0 </dev/null"});
    CHECK_THAT(old.text(), Catch::Contains(newest == TLS1_1_VERSION ? "TLSv1.1" : "TLSv1."));
    HttpClient client({.ca_file = files.certificate});

    const HttpAnswer answer = get(client, server);

    CHECK((answer.status == 200) == (newest != TLS1_1_VERSION));
}

TEST_CASE("a certificate is verified against the authority that is configured", "[s3][http][tls]")
{
    TemporaryDirectory directory;
    const TlsFiles files = make_certificate(directory.path());
    HttpServer server(hello, files);

    SECTION("one that is not known is refused, and trying again does not help")
    {
        HttpClient client({});
        const HttpAnswer answer = get(client, server);
        CHECK(answer.status == 0);
        CHECK_FALSE(answer.may_pass);
        CHECK_THAT(answer.failure, Catch::Contains("certificate"));
        CHECK(server.requests().empty());
    }
    SECTION("one that is known by its file is taken")
    {
        HttpClient client({.ca_file = files.certificate});
        CHECK(as_text(get(client, server).body) == "hello");
        CHECK(client.send({.url = fmt::format("https://localhost:{}", server.port())}).status ==
              200);
    }
    SECTION("one that is known by its directory is taken")
    {
        run_or_throw({"/usr/bin/openssl", "rehash", directory.path()});
        HttpClient client({.ca_path = directory.path()});
        CHECK(as_text(get(client, server).body) == "hello");
    }
    SECTION("one of another name is refused")
    {
        const TlsFiles other = make_certificate(directory.path(), "DNS:elsewhere.example");
        HttpServer impostor(hello, other);
        HttpClient client({.ca_file = other.certificate});
        const HttpAnswer answer = get(client, impostor);
        CHECK(answer.status == 0);
        CHECK_FALSE(answer.may_pass);
        CHECK(impostor.requests().empty());
    }
    SECTION("any is taken when none is verified")
    {
        HttpClient client({.verify_tls = false});
        CHECK(as_text(get(client, server).body) == "hello");
    }
    SECTION("a file without certificates is refused")
    {
        HttpClient client({.ca_file = "/nowhere.pem"});
        CHECK_FALSE(get(client, server).may_pass);
    }
}

TEST_CASE("a library that is not there is named with a hint", "[s3][http]")
{
    CHECK_THROWS_MATCHES(load_curl("libnowhere.so.4"), Error, HasCode(ErrorCode::host_connect));
}
