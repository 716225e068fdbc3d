// SPDX-License-Identifier: PostgreSQL
#include "storage/s3_address.hpp"
#include "support/matchers.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::storage;
using namespace pgstrata::test;

TEST_CASE("an address names the bucket where the style wants it", "[s3][address]")
{
    struct Case {
        std::string endpoint;
        S3UriStyle style;
        std::string host;
        unsigned port;
        std::string url;
        std::string host_header;
        std::string path;
    };
    const auto given = GENERATE(
        Case{"s3.aws", S3UriStyle::host, "", 0, "https://b.s3.aws", "b.s3.aws", ""},
        Case{"https://s3.aws/", S3UriStyle::path, "", 0, "https://s3.aws", "s3.aws", "/b"},
        Case{"s3.aws:443", S3UriStyle::host, "", 0, "https://b.s3.aws", "b.s3.aws", ""},
        Case{"s3.aws:9000", S3UriStyle::host, "", 0, "https://b.s3.aws:9000", "b.s3.aws:9000", ""},
        Case{"s3.aws", S3UriStyle::path, "", 9000, "https://s3.aws:9000", "s3.aws:9000", "/b"},
        Case{"http://s3.aws", S3UriStyle::path, "", 0, "http://s3.aws", "s3.aws", "/b"},
        Case{"http://s3.aws:80", S3UriStyle::path, "", 0, "http://s3.aws", "s3.aws", "/b"},
        Case{"http://[::1]:9000", S3UriStyle::path, "", 0, "http://[::1]:9000", "[::1]:9000", "/b"},
        Case{"s3.aws", S3UriStyle::host, "10.0.0.1", 0, "https://10.0.0.1", "b.s3.aws", ""},
        Case{"s3.aws",
             S3UriStyle::host,
             "10.0.0.1:9000",
             0,
             "https://10.0.0.1:9000",
             "b.s3.aws",
             ""},
        Case{
            "s3.aws", S3UriStyle::host, "10.0.0.1:9000", 99, "https://10.0.0.1:99", "b.s3.aws", ""},
        Case{"http://s3.aws:81",
             S3UriStyle::path,
             "http://proxy",
             0,
             "http://proxy:81",
             "s3.aws:81",
             "/b"});
    CAPTURE(given.endpoint, given.host, given.port);

    const S3Address address = resolve_address({.bucket = "b",
                                               .endpoint = given.endpoint,
                                               .uri_style = given.style,
                                               .host = given.host,
                                               .port = given.port});

    CHECK(address.url == given.url);
    CHECK(address.host == given.host_header);
    CHECK(address.path_prefix == given.path);
}

TEST_CASE("what is no address is refused", "[s3][address]")
{
    const std::string bad = GENERATE("",
                                     "https://",
                                     "ftp://s3.aws",
                                     "s3.aws/path",
                                     "user@s3.aws",
                                     "s3.aws:",
                                     "s3.aws:0",
                                     "s3.aws:65536",
                                     "s3.aws:x",
                                     "s3 aws",
                                     "[::1",
                                     "s3.aws\r\nx: y");
    CAPTURE(bad);
    const HasCode refused(ErrorCode::option_invalid_value);

    CHECK_THROWS_MATCHES(resolve_address({.bucket = "b", .endpoint = bad}), Error, refused);
    if (!bad.empty()) {
        CHECK_THROWS_MATCHES(
            resolve_address({.bucket = "b", .endpoint = "s3.aws", .host = bad}), Error, refused);
    }
    CHECK_THROWS_MATCHES(
        resolve_address({.bucket = "b", .endpoint = "s3.aws", .host = "http://proxy"}),
        Error,
        refused);
}

TEST_CASE("keys are the path of the repository and the path in it", "[s3][address]")
{
    CHECK(object_key("/var/lib/pgstrata", "a/b") == "var/lib/pgstrata/a/b");
    CHECK(object_key("/", "a/b") == "a/b");
    CHECK(object_key("", "a") == "a");
    CHECK(object_key("/x/", "") == "x");
    CHECK(directory_prefix("/x", "a") == "x/a/");
    CHECK(directory_prefix("/x", "") == "x/");
    CHECK(directory_prefix("/", "").empty());
}
