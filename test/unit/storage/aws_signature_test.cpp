// SPDX-License-Identifier: PostgreSQL
#include "storage/aws_signature.hpp"

#include <catch2/catch.hpp>

using namespace pgstrata;
using namespace pgstrata::storage;

namespace {

constexpr const char* kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr UnixSeconds kMay2013 = 1369353600;    // 2013-05-24 00:00:00 UTC
constexpr UnixSeconds kAugust2015 = 1440938160; // 2015-08-30 12:36:00 UTC

AwsCredentials credentials(const std::string& access_key, std::string_view secret)
{
    return {.access_key = access_key, .secret_key = codec::SecretText(secret)};
}

// The account of the examples in the reference of Amazon S3.
std::string sign_example(const SignedRequest& request)
{
    return authorization(
        request,
        credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        {"us-east-1", "s3"},
        kMay2013);
}

std::string signature_of(const std::string& header)
{
    return header.substr(header.find("Signature=") + 10);
}

} // namespace

TEST_CASE("the published test vector get-vanilla is signed as published", "[s3][signature]")
{
    const std::vector<HttpHeader> headers{{"host", "example.amazonaws.com"},
                                          {"x-amz-date", "20150830T123600Z"}};

    CHECK(authorization({"GET", "/", "", headers, kEmptyHash},
                        credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                        {"us-east-1", "service"},
                        kAugust2015) ==
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
          "SignedHeaders=host;x-amz-date, "
          "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST_CASE("the examples of the S3 reference are signed as there", "[s3][signature]")
{
    SECTION("a range of an object")
    {
        const std::vector<HttpHeader> headers{{"x-amz-date", "20130524T000000Z"},
                                              {"x-amz-content-sha256", kEmptyHash},
                                              {"host", "examplebucket.s3.amazonaws.com"},
                                              {"range", "  bytes=0-9 "}};

        CHECK(sign_example({"GET", "/test.txt", "", headers, kEmptyHash}) ==
              "AWS4-HMAC-SHA256 "
              "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
              "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
              "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }
    SECTION("a stored object whose name has to be encoded")
    {
        const std::string hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
        const std::string path = "/" + uri_encode("test$file.text", UriPart::path);
        const std::vector<HttpHeader> headers{{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                              {"host", "examplebucket.s3.amazonaws.com"},
                                              {"x-amz-content-sha256", hash},
                                              {"x-amz-date", "20130524T000000Z"},
                                              {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};

        CHECK(signature_of(sign_example({"PUT", path, "", headers, hash})) ==
              "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }
    SECTION("queries with and without a value")
    {
        const std::vector<HttpHeader> headers{{"host", "examplebucket.s3.amazonaws.com"},
                                              {"x-amz-content-sha256", kEmptyHash},
                                              {"x-amz-date", "20130524T000000Z"}};

        CHECK(signature_of(sign_example(
                  {"GET", "/", canonical_query({{"lifecycle", ""}}), headers, kEmptyHash})) ==
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        CHECK(signature_of(sign_example({"GET",
                                         "/",
                                         canonical_query({{"prefix", "J"}, {"max-keys", "2"}}),
                                         headers,
                                         kEmptyHash})) ==
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }
}

TEST_CASE("bytes of a key are encoded as the signature wants them", "[s3][signature]")
{
    CHECK(uri_encode("a/b-._~ +=\xc3\xa4%\n", UriPart::path) == "a/b-._~%20%2B%3D%C3%A4%25%0A");
    CHECK(uri_encode("a/b", UriPart::value) == "a%2Fb");
    CHECK(canonical_query({{"b", "1"}, {"a", "x y"}, {"B", ""}}) == "B=&a=x%20y&b=1");
    CHECK(canonical_query({}).empty());
}

TEST_CASE("a secret longer than a block of the hash signs too", "[s3][signature]")
{
    // HMAC takes the digest of a longer key: one byte more must change the signature.
    const std::vector<HttpHeader> headers{{"host", "h"}};
    const auto sign = [&](std::size_t size) {
        return authorization({"GET", "/", "", headers, kEmptyHash},
                             credentials("key", std::string(size, 's')),
                             {"r", "s3"},
                             0);
    };

    CHECK(signature_of(sign(100)).size() == 64);
    CHECK(sign(100) != sign(101));
}

TEST_CASE("times are written as the signature wants them", "[s3][signature]")
{
    CHECK(amz_date(kMay2013) == "20130524T000000Z");
    CHECK(amz_date(kAugust2015) == "20150830T123600Z");
}
